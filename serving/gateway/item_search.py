"""The catalogue by words and category: the items that every process has in memory anyway, searched there.

A word is looked for anywhere in an item's name and in the attributes of the shop's profile, in upper or lower case. Of
the names, a copy in lower case is kept in blocks; a block is made anew once one of its names has changed.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.catalogue import Catalogue
from feature_repo.ragged import Int64
from serving.items_table import ItemsTable

BLOCK = 2048
"""Names that are kept, and passed over, together."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Search:
    """What is looked for.

    Attributes
    ----------
    words
        All of them must be found in an item; its id by itself is found, too.
    category
        Value of the shop's category attribute, ``None`` for any.
    available
        Whether the item may be recommended, ``None`` for either.
    """

    words: str = ""
    category: str | None = None
    available: bool | None = None


class ItemSearch:
    """Finds items, in the order of their ids. For any number of threads."""

    def __init__(self, items: ItemsTable) -> None:
        self._catalogue = items.catalogue
        self._category = items.shop.category
        self._blocks: list[_Names] = []
        self._values: dict[str, list[str]] = {name: [] for name in self._catalogue.attributes}
        self._order: list[int] = []
        self._lock = threading.Lock()

    def find(self, wanted: Search, after: str | None, count: int) -> list[str]:
        """Return up to so many ids in alphabetical order (by code point), those after one of them.

        Parameters
        ----------
        after
            The last id of the page before; ``None`` begins.
        """
        with self._lock:
            n = len(self._catalogue)
            ids = self._catalogue.item_ids
            order = self._in_order(n)
            start = 0 if after is None else bisect_right(order, after, key=ids.__getitem__)
            rows: Int64 = np.array(order[start:], np.int64)
            found = rows[self._matching(wanted, n)[rows]][:count]
            return [ids[row] for row in found.tolist()]

    def _in_order(self, n: int) -> list[int]:
        """Rows by id; what is new is sorted into what was in order before."""
        if len(self._order) < n:
            self._order.extend(range(len(self._order), n))
            self._order.sort(key=self._catalogue.item_ids.__getitem__)
        return self._order

    def _matching(self, wanted: Search, n: int) -> Mask:
        """bool[n] by row."""
        catalogue = self._catalogue
        matching: Mask = np.ones(n, np.bool_)
        if wanted.category is not None:
            matching &= _is_value(catalogue, self._category, wanted.category, n)
        if wanted.available is not None:
            matching &= catalogue.available[:n] == wanted.available
        words = wanted.words.casefold().split()
        if words and matching.any():
            named: Mask = np.ones(n, np.bool_)
            for word in words:
                named &= self._names_with(word, n) | self._attributes_with(word, n)
            if (row := catalogue.row(wanted.words.strip())) is not None and row < n:
                named[row] = True
            matching &= named
        return matching

    def _names_with(self, word: str, n: int) -> Mask:
        found: Mask = np.zeros(n, np.bool_)
        for number, start in enumerate(range(0, n, BLOCK)):
            names = self._catalogue.names[start : min(start + BLOCK, n)]
            if number == len(self._blocks):
                self._blocks.append(_Names([]))
            if self._blocks[number].names != names:  # the same strings are told by their addresses
                self._blocks[number] = _Names(names)
            found[start : start + len(names)] = self._blocks[number].having(word)
        return found

    def _attributes_with(self, word: str, n: int) -> Mask:
        found: Mask = np.zeros(n, np.bool_)
        for name, known in self._values.items():
            values = self._catalogue.codes[name].values
            known.extend(value.casefold() for value in values[len(known) :])
            having = np.fromiter((word in value for value in known), np.bool_, len(known))
            codes = self._catalogue.attribute(name)[:n]
            # Values that came since have higher codes than are known here.
            found |= having[np.minimum(codes, len(known) - 1)] & (codes < len(known))
        return found


class _Names:
    """A block of names, and the same in lower case."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._lower = [name.casefold() for name in names]
        self._text = "\n".join(self._lower)

    def having(self, word: str) -> Mask:
        """bool[n]: which names hold the word."""
        if word not in self._text:  # most blocks hold few words
            return np.zeros(len(self.names), np.bool_)
        return np.fromiter((word in name for name in self._lower), np.bool_, len(self._lower))


def _is_value(catalogue: Catalogue, attribute: str, value: str, n: int) -> Mask:
    """bool[n]: whose attribute has the value? Nobody's, where the shop has no such attribute."""
    values = catalogue.codes[attribute].values if attribute in catalogue.codes else []
    if value not in values:
        return np.zeros(n, np.bool_)
    found: Mask = catalogue.attribute(attribute)[:n] == values.index(value)
    return found
