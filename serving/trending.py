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
    weights = popularity(states, as_of)["time_weighted_purchases"]
    order = np.lexsort((keys, -states["purchases"], -weights))
    return Trending(order.astype(np.int64), weights)
