"""How much attention a batch of events gives to items: weighted interactions by item and 5-minute slot."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from feature_repo.customer_state import EventType
from feature_repo.items_state import SLOT, SLOTS
from feature_repo.ragged import Int64, group_ends, group_starts

WEIGHTS = {EventType.VIEW: 1, EventType.CLICK: 1, EventType.ADD_TO_CART: 3, EventType.PURCHASE: 5}
"""Weight of an interaction; the others have none."""

_WEIGHT = np.zeros(len(EventType), dtype=np.int64)
_WEIGHT[list(WEIGHTS)] = list(WEIGHTS.values())
_FEW_CELLS = 4


class Heat(NamedTuple):
    """Weighted interactions.

    Attributes
    ----------
    items
        ``uint64[k]``: keys, sorted.
    item, slot, weight
        ``int64[h]`` each: what was added to item ``items[item]`` in a slot, each pair once.
    """

    items: npt.NDArray[np.uint64]
    item: Int64
    slot: Int64
    weight: Int64


def heat(item: npt.NDArray[np.uint64], kind: npt.NDArray[np.int8], time: Int64, arrival: Int64) -> Heat:
    """Return what events add to items.

    An event counts in the slot in which it happened, or arrived if that was earlier: a clock that runs ahead must
    not push everybody else's slots out of the ring. What is already older than the item's ring is left out.

    Parameters
    ----------
    item, kind
        ``uint64[e]`` keys of items, ``int8[e]`` `EventType`.
    time, arrival
        ``int64[e]``, microseconds since the epoch.
    """
    weight = _WEIGHT[kind]
    counts = np.flatnonzero(weight)
    weight, slot = weight[counts], np.minimum(time[counts], arrival[counts]) // SLOT
    items, place = np.unique(item[counts], return_inverse=True)
    if len(items) == 0:
        return Heat(items, slot, slot, weight)
    first = int(slot.min())
    span = int(slot.max()) - first + 1
    cell = place * span + (slot - first)
    if len(items) * span <= _FEW_CELLS * len(cell):  # a batch of a live stream: a slot or two
        sums = np.bincount(cell, weight).astype(np.int64)
        cells = np.flatnonzero(sums)
        return Heat(items, cells // span, cells % span + first, sums[cells])
    cells, at = np.unique(cell, return_inverse=True)
    sums = np.bincount(at, weight).astype(np.int64)
    place, slot = cells // span, cells % span + first
    starts = group_starts(place)
    newest = slot[group_ends(starts, len(slot)) - 1]
    kept = slot > newest[place] - SLOTS
    return Heat(items, place[kept], slot[kept], sums[kept])
