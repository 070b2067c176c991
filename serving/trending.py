"""Trending: items by what the whole shop bought lately; a source of candidates and the answer of last resort."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.items_state import ItemStates
from feature_repo.popularity import popularity
from serving.candidates import Rows


class Trending(NamedTuple):
    """Catalogue rows, int64[n], most wanted first, and by row the time-weighted purchases, float64[n].

    by_category: the same order within each category, one behind the other; starts: int64[categories + 1], where each
    begins. Both are empty where nobody asked for categories.
    """

    order: Rows
    weights: NDArray[np.float64]
    by_category: Rows = np.zeros(0, np.int64)
    starts: Rows = np.zeros(1, np.int64)

    def best_of(self, category: int, n: int) -> Rows:
        """The first `n` rows of a category, given by its code; fewer where there are fewer."""
        if category + 1 >= len(self.starts):
            return self.by_category[:0]
        start, end = int(self.starts[category]), int(self.starts[category + 1])
        return self.by_category[start : min(start + n, end)]

    def in_categories(self, codes: NDArray[np.int32]) -> Trending:
        """The same with its order by category; codes: int32[n], each item's category."""
        width = int(codes.max(initial=0)) + 1
        own = codes[self.order].astype(np.int16 if width < 2**15 else np.int32)  # numpy sorts 16 bits by counting
        starts = np.concatenate(([0], np.cumsum(np.bincount(own, minlength=width))))
        return self._replace(by_category=self.order[np.argsort(own, kind="stable")], starts=starts)


def trending(states: ItemStates, keys: NDArray[np.uint64], as_of: int) -> Trending:
    """Order items by time-weighted purchases on the UTC day of `as_of`, then purchases ever, then item key.

    states: ITEM_STATE[n] summed over sources, keys: uint64[n]; as_of: microseconds since the epoch.
    """
    return _ordered(_weights(states, as_of), states, keys)


def refreshed(before: Trending, states: ItemStates, keys: NDArray[np.uint64], as_of: int, changed: Rows) -> Trending:
    """The order after the given rows changed; what `trending` returns, without weighing every item again.

    Rows that `before` did not have are weighed too.
    """
    known = len(before.weights)
    rows = np.union1d(changed, np.arange(known, len(states)))
    weights = np.zeros(len(states))
    weights[:known] = before.weights
    weights[rows] = _weights(states[rows], as_of)
    return _ordered(weights, states, keys)


def _weights(states: ItemStates, as_of: int) -> NDArray[np.float64]:
    return popularity(states, as_of)["time_weighted_purchases"]


def _ordered(weights: NDArray[np.float64], states: ItemStates, keys: NDArray[np.uint64]) -> Trending:
    order = np.lexsort((keys, -states["purchases"], -weights))
    return Trending(order.astype(np.int64), weights)
