"""Baskets: what a customer bought at one time, as the offline store tells it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feature_repo.purchases import DAY
from feature_repo.ragged import Int64, group_starts, lengths_to_offsets, offsets_of, select

COLUMNS = ("customer_id", "item_id", "type", "time", "session_id")
"""Columns of the offline store that baskets are made of."""

LARGEST = 200
"""A basket of more distinct items is a wholesaler's or a machine's; its pairs, quadratic in number, mean little."""


@dataclass(frozen=True)
class Baskets:
    """The distinct items of `b` baskets, the baskets in the order of customer and time.

    Attributes
    ----------
    item_ids
        Ids of the items, `n` of them.
    items
        int64[m]: which of these, basket by basket.
    offsets
        int64[b + 1]: where each basket begins in `items`.
    customer
        int64[b]: whose it is, as a number.
    time
        int64[b]: when its last item was bought, microseconds since the epoch.
    """

    item_ids: list[str]
    items: Int64
    offsets: Int64
    customer: Int64
    time: Int64

    def __len__(self) -> int:
        return len(self.customer)

    @property
    def sizes(self) -> Int64:
        """int64[b]: distinct items of each basket."""
        return np.diff(self.offsets)

    @property
    def counts(self) -> Int64:
        """int64[n]: baskets that hold each item."""
        return np.bincount(self.items, minlength=len(self.item_ids))

    def where(self, kept: NDArray[np.bool_]) -> Baskets:
        """The chosen baskets; item numbers stay."""
        rows, offsets = select(self.offsets, np.flatnonzero(kept))
        return Baskets(self.item_ids, self.items[rows], offsets, self.customer[kept], self.time[kept])


def read(table: pa.Table, largest: int = LARGEST) -> Baskets:
    """Baskets of a table with `COLUMNS`: the purchases of one customer in one session.

    Purchases that name no session belong to the basket of their UTC day. Returns take nothing back: what was chosen
    together was chosen together. Baskets of more than `largest` items are left out.
    """
    table = table.filter(pc.equal(table["type"], "purchase")).combine_chunks()
    if table.num_rows == 0:
        none = np.zeros(0, np.int64)
        return Baskets([], none, np.zeros(1, np.int64), none, none)
    customer, _ = _codes(table["customer_id"])
    item, item_ids = _codes(table["item_id"])
    time = table["time"].to_numpy()
    group = _basket_keys(customer, time, table["session_id"])
    n = len(item_ids)
    _, basket = np.unique(group, return_inverse=True)
    lines = np.unique(basket * n + item)  # each item of a basket once
    of_basket, items = np.divmod(lines, n)
    count = int(basket.max()) + 1
    owner, last = np.zeros(count, np.int64), np.full(count, np.iinfo(np.int64).min)
    owner[basket] = customer
    np.maximum.at(last, basket, time)
    found = _in_order(Baskets(item_ids, items, offsets_of(of_basket, count), owner, last))
    return found.where(found.sizes <= largest)


def _in_order(baskets: Baskets) -> Baskets:
    order = np.lexsort((baskets.time, baskets.customer))
    rows, offsets = select(baskets.offsets, order)
    return Baskets(baskets.item_ids, baskets.items[rows], offsets, baskets.customer[order], baskets.time[order])


def _basket_keys(customer: Int64, time: Int64, session: pa.ChunkedArray) -> Int64:
    """int64[lines]: one number for each basket."""
    codes, values = _codes(session)
    day = time // DAY
    within = np.where(codes >= 0, codes, len(values) + day - day.min())
    return customer * (int(within.max()) + 1) + within


def _codes(column: pa.ChunkedArray) -> tuple[Int64, list[str]]:
    """int64[lines] numbers of the distinct values (-1 for null), and those values."""
    encoded = pc.dictionary_encode(column)
    array = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    if isinstance(array, pa.ChunkedArray):  # an empty one stays chunked
        return np.zeros(0, np.int64), []
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, array.dictionary.to_pylist()


def holders(baskets: Baskets) -> tuple[Int64, Int64]:
    """Baskets by item: int64[m] numbers of baskets, and int64[n + 1] where each item's begin."""
    order = np.argsort(baskets.items, kind="stable")
    basket = np.repeat(np.arange(len(baskets)), baskets.sizes)
    return basket[order], offsets_of(baskets.items, len(baskets.item_ids))


def groups(baskets: Baskets, kind: Int64) -> tuple[Baskets, Int64]:
    """The baskets cut into their items of each kind, in the order of customer, kind and time.

    Parameters
    ----------
    kind
        int64[n]: the kind of each item.

    Returns
    -------
    Baskets, int64[g]
        A part of a basket that is of one kind counts as a basket of its own; the kind of each.
    """
    basket = np.repeat(np.arange(len(baskets)), baskets.sizes)
    kinds = kind[baskets.items]
    order = np.lexsort((basket, kinds, baskets.customer[basket]))  # baskets are in the order of time
    basket, kinds, items = basket[order], kinds[order], baskets.items[order]
    starts = group_starts(kinds, basket)
    offsets = lengths_to_offsets(np.diff(np.append(starts, len(items))))
    first = basket[starts]
    return Baskets(baskets.item_ids, items, offsets, baskets.customer[first], baskets.time[first]), kinds[starts]
