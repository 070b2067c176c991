"""What a training run reads: events of the offline store, the catalogue, the customers' profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_repo.catalogue import Catalogue
from feature_repo.events import Events
from feature_repo.keys import item_keys
from feature_repo.point_in_time import TYPE_CODES, Log
from feature_repo.shop import Shop
from streams import offline
from streams.erasure import erasures
from streams.erasure.erasures import Ledger

COLUMNS = ("customer_id", "item_id", "type", "time", "quantity", "amount", "rating", "context", "arrival", "partition")

Profiles = Mapping[str, Mapping[str, str]]
"""By customer id its attributes."""


class NothingToLearnError(ValueError):
    """There is no data, or none with anything to learn in it; the message says what has to come first."""


@dataclass(frozen=True)
class Contexts:
    """The circumstances of events, as they were told.

    Attributes
    ----------
    texts
        The distinct ones, JSON objects of strings.
    place
        int32[e]: by `Events.event`, which of the texts is an event's.
    """

    texts: list[str]
    place: NDArray[np.int32]

    def of(self, event: NDArray[np.uint64]) -> list[dict[str, str]]:
        """The contexts of some events, given as `Events.event`; those that are alike are one object."""
        places, at = np.unique(self.place[event], return_inverse=True)
        found = [msgspec.json.decode(self.texts[place], type=dict[str, str]) for place in places.tolist()]
        return [found[each] for each in at.tolist()]


@dataclass(frozen=True)
class Inputs:
    """Everything a training run knows.

    Attributes
    ----------
    log
        Events in the order in which they became known; `events.item` are keys.
    contexts
        What these events tell of their circumstances.
    catalogue
        Holds every item of the log.
    profiles
        Of the customers that have one.
    until_at
        The instant of the run, microseconds since the epoch: no event after it is in the log.
    ledger
        Customers who were erased; what the log has of them came later.
    """

    shop: Shop
    log: Log
    contexts: Contexts
    catalogue: Catalogue
    profiles: Profiles
    until_at: int
    ledger: Ledger = field(default_factory=Ledger)

    def departed(self, customer_ids: Iterable[str], since: int) -> set[str]:
        """Those whom a model must not know any more: erased after an instant (microseconds since the epoch), or gone.

        One who was erased before that and is in the log has come back, and the model knows only what came since.
        """
        present = set(self.log.customer_ids)
        return {
            name
            for name in customer_ids
            if (entries := self.ledger.of(name)) and (entries[-1].erased_at * 1000 >= since or name not in present)
        }

    def profile_columns(self) -> dict[str, list[str]]:
        """For each customer attribute the values of the log's customers, "" where unknown."""
        own = [self.profiles.get(customer, {}) for customer in self.log.customer_ids]
        return {a: [attributes.get(a, "") for attributes in own] for a in self.shop.customer_attributes}


def read(
    store: Path,
    shop: Shop,
    catalogue: Catalogue,
    profiles: Profiles,
    *,
    arrived_until: int | None = None,
    happened_until: int | None = None,
    event_clock: bool = False,
) -> Inputs:
    """Read the events that had arrived and happened by the given instants (inclusive; None: all there are).

    With `event_clock` an event counts as known from the moment it happened, as in a replay of old data; else from
    its arrival, except what was backfilled, which was known to the shop all along. Items that the catalogue lacks
    are added to it without attributes. Raises NothingToLearnError where the store holds no
    event.
    """
    table = offline.interactions(
        store,
        until_arrival=None if arrived_until is None else arrived_until + 1,
        until_time=None if happened_until is None else happened_until + 1,
        columns=COLUMNS,
    )
    if table.num_rows == 0:
        raise NothingToLearnError(
            f"the offline store {store} holds no interaction to train on; backfill or replay some first"
        )
    log, items = _log(table, event_clock)
    catalogue.ensure(items)
    newest = int(log.events.time.max())
    until = newest if event_clock or arrived_until is None else max(newest, arrived_until)
    until = until if happened_until is None else min(until, happened_until)
    return Inputs(shop, log, _contexts(table["context"]), catalogue, profiles, until, erasures.read(store))


def _log(table: pa.Table, event_clock: bool) -> tuple[Log, list[str]]:
    """The events in arrays. The store holds each event once, so its place stands for its id."""
    customers, customer = _factors(table["customer_id"])
    items, item = _factors(table["item_id"])
    kinds, kind = _factors(table["type"])
    codes = np.array([TYPE_CODES[name] for name in kinds], dtype=np.int8)
    time, arrival = table["time"].to_numpy(), table["arrival"].to_numpy()
    known_all_along = (table["partition"].to_numpy() == offline.BACKFILL) | event_clock
    quantity = table["quantity"].to_numpy()
    rating = table["rating"].to_numpy().astype(np.float32)
    n = table.num_rows
    events = Events(
        customer=customer, item=item_keys(items)[item], event=np.arange(n, dtype=np.uint64), type=codes[kind],
        time=time, quantity=quantity, amount=table["amount"].to_numpy().astype(np.int32),
        weight=np.where(np.isnan(rating), quantity.astype(np.float32), rating).astype(np.float32),
        arrival=np.where(known_all_along, time, arrival), offset=np.arange(n, dtype=np.int64),
    )  # fmt: skip
    order = np.lexsort((events.time, events.arrival))
    return Log(customers, replace(events.take(order), offset=np.arange(n, dtype=np.int64))), items


def _contexts(column: pa.ChunkedArray) -> Contexts:
    encoded = column.combine_chunks().dictionary_encode()
    place: Any = encoded.indices.to_numpy(zero_copy_only=False)
    return Contexts(encoded.dictionary.to_pylist(), place.astype(np.int32))


def _factors(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct values in alphabetical order and each row's place among them."""
    encoded = column.combine_chunks().dictionary_encode()
    values: list[str] = encoded.dictionary.to_pylist()
    order = sorted(range(len(values)), key=values.__getitem__)
    place = np.empty(len(values), dtype=np.int64)
    place[order] = np.arange(len(values))
    rows: Any = encoded.indices.to_numpy(zero_copy_only=False)
    return [values[i] for i in order], place[rows]
