"""Reading baskets: purchases come a table at a time and go, what stays of each is two numbers."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feature_repo.purchases import DAY
from feature_repo.ragged import Int64, group_starts, lengths_to_offsets
from trainer.similarity.baskets import Baskets

Int32 = NDArray[np.int32]

COLUMNS = ("customer_id", "item_id", "type", "time", "session_id")
"""Columns of the offline store that baskets are made of."""

LARGEST = 200
"""A basket of more distinct items is a wholesaler's or a machine's; its pairs, quadratic in number, mean little."""


def read(tables: Iterable[pa.Table], largest: int = LARGEST) -> Baskets:
    """Baskets of tables with `COLUMNS`: the purchases of one customer in one session.

    Purchases that name no session belong to the basket of their UTC day. Returns take nothing back: what was chosen
    together was chosen together. Baskets of more than `largest` items are left out.
    """
    lines = _Lines()
    for table in tables:
        lines.take(table)
    found = lines.baskets()
    return found.where(found.sizes <= largest)


class _Lines:
    """Purchases so far: of each line its item and its part of a basket; the parts of all tables are joined at the end.

    A table holds whole baskets mostly, so there are not many more parts than baskets.
    """

    def __init__(self) -> None:
        self._customers, self._items = _Numbers(), _Numbers()
        self._parts: list[tuple[Int32, Int64, Int64]] = []  # of each part: customer, session, last time
        self._lines: list[tuple[Int32, Int32]] = []  # of each line: part, item
        self._count = 0

    def take(self, table: pa.Table) -> None:
        """Take in a table's purchases."""
        table = table.filter(pc.equal(table["type"], "purchase"))
        if table.num_rows == 0:
            return
        customer, item = self._customers.of(table["customer_id"]), self._items.of(table["item_id"])
        time = table["time"].to_numpy()
        session = _sessions(table["session_id"], time)
        order = np.lexsort((session, customer))
        starts = group_starts(customer[order], session[order])
        part = np.empty(len(order), np.int32)
        part[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
        first = order[starts]
        self._parts.append((customer[first], session[first], np.maximum.reduceat(time[order], starts)))
        self._lines.append((part + np.int32(self._count), item))
        self._count += len(starts)

    def baskets(self) -> Baskets:
        """What was taken in, as baskets; for one call."""
        if not self._lines:
            none = np.zeros(0, np.int64)
            return Baskets([], none, np.zeros(1, np.int64), none, none)
        customer, session, time = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        self._parts.clear()
        order = np.lexsort((session, customer))
        starts = group_starts(customer[order], session[order])
        owner, last = customer[order[starts]].astype(np.int64), np.maximum.reduceat(time[order], starts)
        in_order = np.lexsort((last, owner))
        place = np.empty(len(starts), np.int64)
        place[in_order] = np.arange(len(starts))
        basket = np.empty(len(order), np.int64)  # of each part
        basket[order] = np.repeat(place, np.diff(np.append(starts, len(order))))
        n = len(self._items.names)
        keys = self._keys(basket, n)
        keys.sort()
        keys = keys[group_starts(keys)]  # each item of a basket once
        sizes = np.bincount(keys // n, minlength=len(starts))
        np.remainder(keys, n, out=keys)
        return Baskets(list(self._items.names), keys, lengths_to_offsets(sizes), owner[in_order], last[in_order])

    def _keys(self, basket: Int64, n: int) -> Int64:
        """int64[lines]: basket * n + item; lines are let go as they are taken over."""
        keys = np.empty(sum(len(item) for _, item in self._lines), np.int64)
        end = len(keys)
        while self._lines:
            part, item = self._lines.pop()
            keys[end - len(item) : end] = basket[part] * n + item
            end -= len(item)
        return keys


class _Numbers:
    """Numbers of names, in the order in which they were first seen."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}

    def of(self, column: pa.ChunkedArray) -> Int32:
        """int32[lines]."""
        codes, names = _encoded(column)
        number = self.names
        return np.array([number.setdefault(name, len(number)) for name in names], np.int32)[codes]


def _sessions(column: pa.ChunkedArray, time: Int64) -> Int64:
    """int64[lines]: a number of each session, below 0; of a line without one its UTC day, not below 0."""
    codes, names = _encoded(column)
    digests = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in names)
    numbers = np.append(np.frombuffer(digests, "<i8") | np.iinfo(np.int64).min, 0)  # 63 bits tell a customer's apart
    found: Int64 = np.where(codes >= 0, numbers[codes], time // DAY)
    return found


def _encoded(column: pa.ChunkedArray) -> tuple[Int64, list[str]]:
    """int64[lines] numbers of the distinct values (-1 for null), and those values."""
    encoded = pc.dictionary_encode(column.combine_chunks())
    array = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, array.dictionary.to_pylist()
