"""What is kept of an item: integer sums and two rings of counts, so that no part depends on "now"."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

DAYS = 64
"""Days of purchase counts that an item keeps; a power of two, as is `SLOTS`: remainders are taken by their bits."""

SLOTS = 32
"""Slots of weighted interactions that an item keeps: two hours and forty minutes."""

SLOT = 300_000_000
"""Microseconds in a slot."""

NO_DAY = -(2**31)
"""``newest_day`` of an item that nobody has bought."""

NO_SLOT = -(2**31)
"""``hot_slot`` of an item that nobody has looked at."""

TOTALS = ("purchases", "quantity", "spend", "buyers", "repeats")

ITEM_STATE = np.dtype(
    [
        *((name, "<i8") for name in TOTALS),
        ("newest_day", "<i8"),
        ("daily", "<i4", (DAYS,)),
        ("hot_slot", "<i8"),
        ("hot", "<i4", (SLOTS,)),
    ]
)
"""Purchase lines, units, spend in minor units, customers who hold it, shopping days on which a customer bought it
again, the newest UTC day number with an event, and purchase lines by day (slot ``day % DAYS``); the newest 5-minute
slot since the epoch with an interaction, and weighted interactions by slot (``slot % SLOTS``)."""

ItemStates = npt.NDArray[Any]
"""An array of dtype ``ITEM_STATE``."""

_SLOW_BYTES = ITEM_STATE.fields["hot_slot"][1] if ITEM_STATE.fields else 0


def _none() -> npt.NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


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
    hot_item, hot_slot, hot_weight
        ``int64[h]`` each: weighted interactions added to item ``items[hot_item]`` in a 5-minute slot.
    """

    items: npt.NDArray[np.uint64]
    totals: npt.NDArray[np.int64]
    entry_item: npt.NDArray[np.int64]
    entry_day: npt.NDArray[np.int64]
    entry_count: npt.NDArray[np.int64]
    hot_item: npt.NDArray[np.int64] = field(default_factory=_none)
    hot_slot: npt.NDArray[np.int64] = field(default_factory=_none)
    hot_weight: npt.NDArray[np.int64] = field(default_factory=_none)


def empty_items(n: int) -> ItemStates:
    """Return ``ITEM_STATE[n]`` of items that nobody has bought or looked at."""
    states = np.zeros(n, dtype=ITEM_STATE)
    states["newest_day"], states["hot_slot"] = NO_DAY, NO_SLOT
    return states


def read_states(stored: Sequence[bytes]) -> ItemStates:
    """Return ``ITEM_STATE[n]``, read-only, from the bytes of each.

    Raises
    ------
    ValueError
        When the bytes are of another layout.
    """
    for length in {len(data) for data in stored}:
        if length != ITEM_STATE.itemsize:
            raise ValueError(
                f"an item's state has {length} bytes, this version keeps {ITEM_STATE.itemsize}: another version of "
                f"Headwater wrote it. Start with an empty Redis and empty topics (`make clean` does that locally)"
            )
    return np.frombuffer(b"".join(stored), dtype=ITEM_STATE)


def slow_part(states: ItemStates) -> npt.NDArray[np.int64]:
    """Return ``int64[n, w]``: the bytes of ``ITEM_STATE[n]`` without what changes with every look at an item."""
    whole = np.ascontiguousarray(states).view(np.int64).reshape(len(states), ITEM_STATE.itemsize // 8)
    return whole[:, : _SLOW_BYTES // 8]


def slot_days(newest_day: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return ``int64[n, DAYS]``: the UTC day that each slot of a ring stands for."""
    return places(newest_day, DAYS)


def places(newest: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    """Return ``int64[n, width]``: the day or slot that each place of a ring stands for, given its newest one."""
    return newest[:, None] - ((newest[:, None] - np.arange(width)) & (width - 1))


def apply_deltas(partials: ItemStates, deltas: ItemDeltas) -> ItemStates:
    """Return ``ITEM_STATE[k]``: the absolute partials after a batch.

    Counts of days and slots older than the ring are dropped; since the newest one only grows, the outcome does not
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
    _add(new, "newest_day", "daily", deltas.entry_item, deltas.entry_day, deltas.entry_count)
    _add(new, "hot_slot", "hot", deltas.hot_item, deltas.hot_slot, deltas.hot_weight)
    return new


def _add(
    states: ItemStates,
    newest_name: str,
    ring_name: str,
    item: npt.NDArray[np.int64],
    at: npt.NDArray[np.int64],
    count: npt.NDArray[np.int64],
) -> None:
    """Add counts at days or slots to the rings of the items, in place."""
    if len(item) == 0:
        return
    before = states[newest_name]
    newest = before.copy()
    np.maximum.at(newest, item, at)
    ring = states[ring_name]
    width = ring.shape[1]
    _clear(ring, before, newest)
    states[newest_name] = newest
    inside = at > newest[item] - width
    if not inside.all():
        item, at, count = item[inside], at[inside], count[inside]
    np.add.at(ring, (item, at % width), count.astype(np.int32))


def _clear(ring: npt.NDArray[np.int32], before: npt.NDArray[np.int64], newest: npt.NDArray[np.int64]) -> None:
    """Clear the places that a newer day or slot takes over, in place; most rings have none."""
    rows = np.flatnonzero(newest > before)
    if len(rows):
        width = ring.shape[1]
        taken = np.minimum(newest[rows] - before[rows], width).astype(np.int16)
        first = ((before[rows] + 1) & (width - 1)).astype(np.int16)
        alive = ((np.arange(width, dtype=np.int16) - first[:, None]) & np.int16(width - 1)) >= taken[:, None]
        ring[rows] *= alive


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
    counts = np.diff(offsets)
    out = empty_items(n)
    some = counts > 0
    if not some.any():
        return out
    starts, owner = offsets[:-1][some], np.repeat(np.arange(n), counts)
    for name in TOTALS:
        out[name][some] = np.add.reduceat(partials[name], starts)
    for newest_name, ring_name in (("newest_day", "daily"), ("hot_slot", "hot")):
        out[newest_name][some] = np.maximum.reduceat(partials[newest_name], starts)
        ring = partials[ring_name].copy()
        _clear(ring, partials[newest_name], out[newest_name][owner])
        out[ring_name][some] = np.add.reduceat(ring, starts, dtype=np.int32)
    return out
