"""Taste: how much what a customer holds speaks for an item, by two small tables that travel with the model.

Holding an item adds a row of one table to where the customer stands; the product with an item's row of the other is
the taste of the pair. So it is as new as the customer's history, and customers whom no training has seen have one.
`trainer.taste` learns the tables; here they are applied, by serving, training and evaluation alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from feature_repo.affinity import ItemAffinities
from feature_repo.compiled import array, compiled
from feature_repo.ragged import Int64

Floats = NDArray[np.float32]

_CUSTOMERS_AT_ONCE = 32
"""So few that what is gathered of them stays in the processor's cache."""

_LANES = 8
"""Sums that a product is added up in, side by side."""

_SIEVE = 16


class Taste:
    """Two tables of the items that have a taste. Immutable, so any number of threads may share one.

    Parameters
    ----------
    rows
        ``int64[k]``: their catalogue rows, ascending.
    holding
        ``float32[k, d]``: what holding the item adds to where a customer stands.
    standing
        ``float32[k, d]``: where the item stands.
    """

    def __init__(self, rows: Int64, holding: Floats, standing: Floats) -> None:
        self.rows = rows
        nothing = np.zeros((1, holding.shape[1]), np.float32)
        self._holding = np.concatenate([holding, nothing])
        self._standing = np.concatenate([standing, nothing])
        # The last place stands for all rows beyond, and leads to the row of zeros.
        self._places = np.full(int(rows.max(initial=-1)) + 2, len(rows), np.int64)
        self._places[rows] = np.arange(len(rows))

    @classmethod
    def of(cls, tables: Floats, rows: Int64) -> Taste:
        """Read tables as `tables` gives them; ``rows``: ``int64[n]``, the catalogue row of each of their items."""
        known = np.flatnonzero(tables.any(axis=(0, 2)))
        known = known[np.argsort(rows[known])]
        return cls(rows[known], tables[0, known], tables[1, known])

    def tables(self, n: int) -> Floats:
        """``float32[2, n, d]``: both tables by catalogue row, zero where an item has no taste."""
        out = np.zeros((2, n, self._holding.shape[1]), np.float32)
        out[0, self.rows], out[1, self.rows] = self._holding[:-1], self._standing[:-1]
        return out

    def customers(self, held: ItemAffinities) -> Floats:
        """``float32[n, d]``: where customers stand by what they hold, 0 for who holds nothing."""
        return _added(self._holding, self._places, held.row, held.offsets)

    def pairs(self, customers: Floats, owner: Int64, rows: Int64) -> NDArray[np.float64]:
        """``float64[m]``: the taste of pairs.

        Parameters
        ----------
        customers
            As `customers` gives them.
        owner, rows
            ``int64[m]``: places among the customers, and catalogue rows.
        """
        return _products(np.ascontiguousarray(customers), self._standing, self._places, owner, rows)

    def nearest(self, customers: Floats, held: ItemAffinities, k: int, who: Int64 | None = None) -> list[Int64]:
        """Up to ``k`` catalogue rows for each customer, best first: those most to the taste among what is not held.

        customers: for all customers in ``held``, as `customers` gives them; who: ``int64[m]``, those asked for, all by
        default. What nothing speaks for is left out.
        """
        found: list[Int64] = []
        places = np.arange(len(customers)) if who is None else who
        for start in range(0, len(places), _CUSTOMERS_AT_ONCE):
            own = places[start : start + _CUSTOMERS_AT_ONCE]
            for place, taste in zip(own.tolist(), customers[own] @ self._standing.T, strict=True):
                taste[self._at(held.row[held.offsets[place] : held.offsets[place + 1]])] = 0.0
                found.append(self._best(taste[:-1], k))
        return found

    def _best(self, taste: Floats, k: int) -> Int64:
        """The largest of many by a sieve: at least k values reach the k-th of the maxima of groups, and few others do.

        For 100 of 6,000 a quarter of what `np.argpartition` of all takes.
        """
        least = np.float32(0.0)
        if deep := min(_SIEVE, len(taste) // k):
            width = len(taste) // deep
            maxima = taste[: width * deep].reshape(deep, width).max(axis=0)
            least = np.partition(maxima, width - k)[width - k]
        chosen = ((taste >= least) & (taste > 0.0)).nonzero()[0]
        rows: Int64 = self.rows[chosen[(-taste[chosen]).argsort(kind="stable")][:k]]
        return rows

    def _at(self, rows: Int64) -> Int64:
        return self._places[np.minimum(rows, len(self._places) - 1)]


@compiled(array(np.float32, 2), array(np.int64), array(np.int64), array(np.int64))
def _added(table: Floats, places: Int64, rows: Int64, offsets: Int64) -> Floats:
    """The sum of each customer's rows of the table, in their order: float32[n, d]."""
    width = table.shape[1]
    out = np.zeros((len(offsets) - 1, width), np.float32)
    for who in range(len(offsets) - 1):
        for i in range(offsets[who], offsets[who + 1]):
            place = places[min(rows[i], len(places) - 1)]
            for k in range(width):
                out[who, k] += table[place, k]
    return out


@compiled(array(np.float32, 2), array(np.float32, 2), array(np.int64), array(np.int64), array(np.int64))
def _products(customers: Floats, table: Floats, places: Int64, owner: Int64, rows: Int64) -> NDArray[np.float64]:
    """The product of each pair's customer and row of the table, float64[m]; by itself or among others the same."""
    width = table.shape[1]
    out = np.empty(len(rows), np.float64)
    lanes = np.empty(_LANES, np.float32)
    for i in range(len(rows)):
        who, place = owner[i], places[min(rows[i], len(places) - 1)]
        lanes[:] = 0.0
        for k in range(0, width - width % _LANES, _LANES):
            for lane in range(_LANES):
                lanes[lane] += customers[who, k + lane] * table[place, k + lane]
        total = np.float32(0.0)
        for k in range(width - width % _LANES, width):
            total += customers[who, k] * table[place, k]
        for lane in range(_LANES):
            total += lanes[lane]
        out[i] = total
    return out


NO_TASTE = Taste(np.zeros(0, np.int64), np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32))
"""Of a model without tables: every pair's is 0."""
