"""The shop's items in arrays: ids, keys, attributes as codes, availability, price."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from feature_repo.keys import item_key
from feature_repo.ragged import Int64


class CatalogueItem(NamedTuple):
    """What the catalogue keeps of an item; ``price`` is in minor units, -1 where unknown."""

    item_id: str
    name: str = ""
    available: bool = True
    price: int = -1
    attributes: Mapping[str, str] = {}


class AttributeCodes:
    """The values of one attribute as integers in the order of first sight; code 0 is the missing value ``""``."""

    def __init__(self) -> None:
        self.values: list[str] = [""]
        self._codes: dict[str, int] = {"": 0}
        self._ranks: npt.NDArray[np.int64] | None = None

    def code(self, value: str) -> int:
        """Return the value's code, a new one for a new value."""
        found = self._codes.get(value)
        if found is None:
            found = self._codes[value] = len(self.values)
            self.values.append(value)
            self._ranks = None
        return found

    def ranks(self) -> npt.NDArray[np.int64]:
        """Return ``int64[len(values)]``: each value's place in alphabetical order (by code point)."""
        if self._ranks is None:
            ranks = np.empty(len(self.values), dtype=np.int64)
            ranks[sorted(range(len(self.values)), key=self.values.__getitem__)] = np.arange(len(self.values))
            self._ranks = ranks
        return self._ranks


class Index(NamedTuple):
    """From keys to rows: a table of slots that finds most at once, and sorted keys for those that share a slot."""

    keys: npt.NDArray[np.uint64]
    rows: Int64
    keys_by_row: npt.NDArray[np.uint64]
    slots: Int64
    mask: np.uint64

    @classmethod
    def of(cls, keys: npt.NDArray[np.uint64]) -> "Index":
        """Make the index of ``uint64[n]`` different keys, whose rows are their places."""
        order = np.argsort(keys).astype(np.int64)
        size = 1 << max(4, (4 * len(keys)).bit_length())
        mask = np.uint64(size - 1)
        slots = np.zeros(size, dtype=np.int64)
        slots[(keys & mask).astype(np.int64)] = np.arange(len(keys))
        return cls(keys[order], order, keys, slots, mask)


class Catalogue:
    """The items known so far. Rows are never reused: an item keeps its row for the life of the process.

    Not safe for writing from two threads; readers of the arrays may run beside one writer.

    Parameters
    ----------
    attributes
        Names of the attributes that are kept as codes.
    """

    def __init__(self, attributes: tuple[str, ...]) -> None:
        self.attributes = attributes
        self.item_ids: list[str] = []
        self.names: list[str] = []
        self.codes = {name: AttributeCodes() for name in attributes}
        self._row_of: dict[int, int] = {}
        self._size = self._capacity = 0
        self._keys = np.zeros(0, dtype=np.uint64)
        self._available = np.zeros(0, dtype=bool)
        self._price = np.zeros(0, dtype=np.int64)
        self._place = {name: place for place, name in enumerate(attributes)}
        # An item's codes lie side by side, for whoever wants one of them wants the others, too.
        self._code = np.zeros((0, len(attributes)), dtype=np.int32)
        self._sorted = Index.of(np.zeros(0, dtype=np.uint64))

    def __len__(self) -> int:
        return self._size

    @property
    def keys(self) -> npt.NDArray[np.uint64]:
        """``uint64[n]``: item keys by row."""
        return self._keys[: self._size]

    @property
    def available(self) -> npt.NDArray[np.bool_]:
        """``bool[n]``: may the item be recommended?"""
        return self._available[: self._size]

    @property
    def price(self) -> npt.NDArray[np.int64]:
        """``int64[n]``: list price in minor units, -1 where unknown."""
        return self._price[: self._size]

    def attribute(self, name: str) -> npt.NDArray[np.int32]:
        """Return ``int32[n]``: each item's code of an attribute."""
        return self._code[: len(self), self._place[name]]

    def codes_of(self, names: Sequence[str]) -> tuple[npt.NDArray[np.int32], Int64, Int64]:
        """Return where the codes of some attributes are, for compiled loops.

        Returns
        -------
        table : int32[n, len(attributes)]
            Each item's codes of all attributes.
        columns, values : int64[len(names)]
            Which of its columns are these attributes', and how many values each has.
        """
        return (
            self._code[: self._size],
            np.array([self._place[name] for name in names], dtype=np.int64),
            np.array([len(self.codes[name].values) for name in names], dtype=np.int64),
        )

    def attribute_values(self, name: str) -> npt.NDArray[np.object_]:
        """Return ``object[n]``: each item's value of an attribute, ``""`` where it has none."""
        values = np.array(self.codes[name].values, dtype=object)
        return values[self.attribute(name)]

    def upsert(self, items: Iterable[CatalogueItem]) -> Int64:
        """Add items or replace what is known of them; return their rows.

        Raises
        ------
        ValueError
            When two ids have the same 64-bit key; the second is not added.
        """
        rows = [self._upsert(item) for item in items]
        return np.array(rows, dtype=np.int64)

    def _upsert(self, item: CatalogueItem) -> int:
        key = item_key(item.item_id)
        row = self._row_of.get(key)
        if row is None:
            row = len(self.item_ids)
            if row == self._capacity:
                self._grow()
            self._keys[row] = key
            self.names.append("")
            self._row_of[key] = row
            self.item_ids.append(item.item_id)
            self._size = row + 1
        elif self.item_ids[row] != item.item_id:
            raise ValueError(
                f"items {self.item_ids[row]!r} and {item.item_id!r} have the same 64-bit key {key}: rename one of them"
            )
        self.names[row] = item.name
        self._available[row] = item.available
        self._price[row] = item.price
        for place, name in enumerate(self.attributes):
            self._code[row, place] = self.codes[name].code(item.attributes.get(name, ""))
        return row

    def ensure(self, item_ids: Iterable[str]) -> Int64:
        """Return the rows of the ids; an unknown one becomes an available item without name or attributes."""
        rows = ((i, self._row_of.get(item_key(i))) for i in item_ids)
        return np.array([self._upsert(CatalogueItem(i)) if row is None else row for i, row in rows], dtype=np.int64)

    def withdraw(self, item_id: str) -> None:
        """Make an item unavailable: its row stays, for histories refer to it."""
        row = self._row_of.get(item_key(item_id))
        if row is not None:
            self._available[row] = False

    def row(self, item_id: str) -> int | None:
        """Return the row of an id, None if unknown."""
        return self._row_of.get(item_key(item_id))

    def index(self) -> "Index":
        """Return what `rows` looks keys up in; stays as it is when items are added."""
        if len(self._sorted.keys) != self._size:
            self._sorted = Index.of(self.keys.copy())
        return self._sorted

    def rows(self, keys: npt.NDArray[np.uint64]) -> Int64:
        """Return ``int64[k]``: the row of each key, -1 where unknown."""
        index = self.index()
        if len(index.keys) == 0:
            return np.full(len(keys), -1, dtype=np.int64)
        rows: Int64 = index.slots[(keys & index.mask).astype(np.int64)]
        astray = (index.keys_by_row[rows] != keys).nonzero()[0]
        if len(astray):
            wanted = keys[astray]
            at = np.minimum(index.keys.searchsorted(wanted), len(index.keys) - 1)
            rows[astray] = np.where(index.keys[at] == wanted, index.rows[at], -1)
        return rows

    def _grow(self) -> None:
        self._capacity = max(1024, 2 * self._capacity)

        def grown(old: npt.NDArray[Any]) -> npt.NDArray[Any]:
            new = np.zeros((self._capacity, *old.shape[1:]), dtype=old.dtype)
            new[: len(old)] = old
            return new

        self._keys, self._available = grown(self._keys), grown(self._available)
        self._price, self._code = grown(self._price), grown(self._code)
