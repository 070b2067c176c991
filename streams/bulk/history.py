"""A history of interactions as columns, customer by customer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.customer_state import EventType
from feature_repo.events import Events
from feature_repo.keys import event_keys, item_keys

_EVENTS_AT_ONCE = 150_000


@dataclass(frozen=True)
class History:
    """Interactions as columns, sorted by customer, then by time.

    Attributes
    ----------
    customer_ids, item_ids: distinct; `events.customer` and `item` point into them.
    offsets: ``int64[customers + 1]``, where each customer's events begin.
    order: ``int64[n]``, each event's row in the table that it was made of.
    """

    customer_ids: list[str]
    item_ids: list[str]
    item: npt.NDArray[np.int64]
    events: Events
    offsets: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]


def history(table: pa.Table) -> History:
    """Return the columns of a table with the offline store's schema."""
    customers = table["customer_id"].combine_chunks().dictionary_encode()
    items = table["item_id"].combine_chunks().dictionary_encode()
    item_ids = items.dictionary.to_pylist()
    customer = customers.indices.to_numpy().astype(np.int64)
    item = items.indices.to_numpy().astype(np.int64)
    time_us = table["time"].to_numpy()
    n = table.num_rows
    order = np.lexsort((np.arange(n), time_us, customer))
    quantity = table["quantity"].to_numpy()
    rating = table["rating"].to_numpy(zero_copy_only=False)
    kinds = table["type"].combine_chunks().dictionary_encode()
    codes = np.array([int(EventType[name.upper()]) for name in kinds.dictionary.to_pylist()] or [0], dtype=np.int8)
    keys = item_keys(item_ids) if item_ids else np.zeros(1, dtype=np.uint64)
    events = Events(
        customer=customer,
        item=keys[item] if n else np.zeros(0, dtype=np.uint64),
        event=event_keys(table["event_id"].to_pylist()),
        type=codes[kinds.indices.to_numpy()],
        time=time_us,
        quantity=quantity,
        amount=table["amount"].to_numpy().astype(np.int32),
        weight=np.where(np.isnan(rating), quantity, rating).astype(np.float32),
        arrival=table["arrival"].to_numpy(),
        offset=np.arange(n, dtype=np.int64),
    ).take(order)
    # Any ascending numbers below the stream's offsets will do.
    events = replace(events, offset=np.arange(n, dtype=np.int64) - n)
    counts = np.bincount(customer, minlength=len(customers.dictionary))
    return History(
        customers.dictionary.to_pylist(),
        item_ids,
        item[order],
        events,
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        order,
    )


def blocks(offsets: npt.NDArray[np.int64], size: int = _EVENTS_AT_ONCE) -> Iterator[tuple[int, int]]:
    """Cut customers `[first, end)` so that each block has about `size` events, or one customer."""
    first, n = 0, len(offsets) - 1
    while first < n:
        end = int(np.searchsorted(offsets, offsets[first] + size, side="right")) - 1
        end = min(max(end, first + 1), n)
        yield first, end
        first = end
