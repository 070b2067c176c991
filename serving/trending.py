"""Trending: items by what the whole shop bought lately; a source of candidates and the answer of last resort."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.items_state import ItemStates
from feature_repo.popularity import popularity
from serving.candidates import Rows


class Trending(NamedTuple):
    """Catalogue rows, int64[n], most wanted first, and by row the time-weighted purchases, float64[n]."""

    order: Rows
    weights: NDArray[np.float64]


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
