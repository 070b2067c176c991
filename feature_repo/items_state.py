"""What is kept of an item: integer sums and a ring of day counts, so that no part depends on "now"."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

DAYS = 64
"""Days of purchase counts that an item keeps."""

NO_DAY = -(2**31)
"""``newest_day`` of an item that nobody has bought."""

TOTALS = ("purchases", "quantity", "spend", "buyers", "repeats")

ITEM_STATE = np.dtype([*((name, "<i8") for name in TOTALS), ("newest_day", "<i8"), ("daily", "<i4", (DAYS,))])
"""Purchase lines, units, spend in minor units, customers who hold it, shopping days on which a customer bought it
again, the newest UTC day number with an event, and purchase lines by day (slot ``day % DAYS``)."""

ItemStates = npt.NDArray[Any]
"""An array of dtype ``ITEM_STATE``."""


@dataclass(frozen=True)
class ItemDeltas:
    """What a batch of events changes in the items it touches.

    Attributes
    ----------
    items
        ``uint64[k]``: keys, sorted.
    totals
        ``int64[k, 5]``: changes of `TOTALS`.
    entry_item, entry_day, entry_count
        ``int64[j]`` each: change of the purchase lines of item ``items[entry_item]`` on a UTC day.
    """

    items: npt.NDArray[np.uint64]
    totals: npt.NDArray[np.int64]
    entry_item: npt.NDArray[np.int64]
    entry_day: npt.NDArray[np.int64]
    entry_count: npt.NDArray[np.int64]


def empty_items(n: int) -> ItemStates:
    """Return ``ITEM_STATE[n]`` of items that nobody has bought."""
    states = np.zeros(n, dtype=ITEM_STATE)
    states["newest_day"] = NO_DAY
    return states


def slot_days(newest_day: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return ``int64[n, DAYS]``: the UTC day that each slot of a ring stands for."""
    slots = np.arange(DAYS)
    return newest_day[:, None] - (newest_day[:, None] - slots) % DAYS


def _advance(states: ItemStates, newest_day: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return the day counts with the slots cleared that a newer ``newest_day`` takes over."""
    alive = slot_days(states["newest_day"]) > newest_day[:, None] - DAYS
    alive &= states["newest_day"][:, None] != NO_DAY
    return np.where(alive, states["daily"], 0).astype(np.int32)


def apply_deltas(partials: ItemStates, deltas: ItemDeltas) -> ItemStates:
    """Return ``ITEM_STATE[k]``: the absolute partials after a batch.

    Counts of days older than the ring are dropped; since the newest day only grows, the outcome does not
    depend on how events are split into batches or ordered.

    Parameters
    ----------
    partials
        ``ITEM_STATE[k]``, one for each of ``deltas.items``.
    deltas
        The batch's changes.
    """
    new = np.array(partials, dtype=ITEM_STATE)
    for column, name in enumerate(TOTALS):
        new[name] += deltas.totals[:, column]
    newest = partials["newest_day"].astype(np.int64)
    np.maximum.at(newest, deltas.entry_item, deltas.entry_day)
    daily = _advance(partials, newest)
    inside = deltas.entry_day > newest[deltas.entry_item] - DAYS
    item, day = deltas.entry_item[inside], deltas.entry_day[inside]
    np.add.at(daily, (item, day % DAYS), deltas.entry_count[inside].astype(np.int32))
    new["newest_day"], new["daily"] = newest, daily
    return new


def total(partials: ItemStates, offsets: npt.NDArray[np.int64]) -> ItemStates:
    """Return ``ITEM_STATE[n]``: each item's sum over its sources' partials.

    Parameters
    ----------
    partials
        ``ITEM_STATE[m]``, the partials of an item next to each other.
    offsets
        ``int64[n + 1]``: where each item's partials begin; an item may have none.
    """
    n = len(offsets) - 1
    owner = np.repeat(np.arange(n), np.diff(offsets))
    out = empty_items(n)
    for name in TOTALS:
        np.add.at(out[name], owner, partials[name])
    np.maximum.at(out["newest_day"], owner, partials["newest_day"])
    np.add.at(out["daily"], owner, _advance(partials, out["newest_day"][owner]))
    return out
