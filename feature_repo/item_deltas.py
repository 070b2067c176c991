"""What a batch of events changes in the items: totals and days by their buyers' histories, slots by attention."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.customer_state import CustomerStates
from feature_repo.heat import Heat
from feature_repo.items_state import ItemDeltas
from feature_repo.purchases import DAY, Purchases, net
from feature_repo.ragged import Int64, group_ends, group_starts, offsets_of, owners, pick


def item_deltas(
    states: CustomerStates,
    history: Purchases,
    history_offsets: Int64,
    new: Purchases,
    owner: Int64,
    leaving: Purchases,
    leaving_owner: Int64,
    attention: Heat,
) -> ItemDeltas:
    """Return what the touched (customer, item) pairs add after the batch less what they added before it.

    What leaves a history leaves its item too: an item's sums are over what its buyers' histories hold, so they
    depend on the events alone, not on when a line left.

    Parameters
    ----------
    states
        Before the batch.
    history, history_offsets
        Lines after it, ``PURCHASE[m]`` and ``int64[n + 1]``.
    new, owner
        The batch's purchases and returns, ``PURCHASE[e]``, and whose they are, ``int64[e]``.
    leaving, leaving_owner
        Lines that left the histories, ``PURCHASE[l]``, and whose they were, ``int64[l]``.
    attention
        What the batch adds to the items' slots.
    """
    dealt, totals, entries = _dealt(states, history, history_offsets, new, owner, leaving, leaving_owner)
    items = np.union1d(dealt, attention.items)
    place = np.searchsorted(items, dealt)
    all_totals = np.zeros((len(items), 5), dtype=np.int64)
    all_totals[place] = totals
    hot_item = np.searchsorted(items, attention.items)[attention.item]
    return ItemDeltas(
        items, all_totals, place[entries[0]], entries[1], entries[2], hot_item, attention.slot, attention.weight
    )


def _dealt(
    states: CustomerStates,
    history: Purchases,
    history_offsets: Int64,
    new: Purchases,
    owner: Int64,
    leaving: Purchases,
    leaving_owner: Int64,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], tuple[Int64, Int64, Int64]]:
    """Return the items that lines came to or left, sorted, their changed totals, and (item, day, count) entries."""
    items = np.unique(np.concatenate((new["item"], leaving["item"])))
    if len(items) == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return items, np.zeros((0, 5), np.int64), (nothing, nothing, nothing)
    touched = np.zeros(1 << 16, dtype=bool)
    touched[_pair_bucket(owner, new["item"])] = True
    touched[_pair_bucket(leaving_owner, leaving["item"])] = True
    after = _contributions(history, owners(history_offsets), touched)
    before = _contributions(states.purchases, owners(states.purchase_offsets), touched)
    parts = [(after, 1), (before, -1)]
    totals = np.zeros((len(items), 5), dtype=np.int64)
    for part, sign in parts:
        rows = np.searchsorted(items, part.item)
        inside = items[np.minimum(rows, len(items) - 1)] == part.item
        np.add.at(totals, rows[inside], sign * part.totals[inside])

    bought = new["quantity"] > 0
    days = np.concatenate([*(part.day_day for part, _ in parts), new["time"][bought] // DAY])
    item = np.concatenate([*(part.day_item for part, _ in parts), new["item"][bought]])
    counts = np.concatenate([*(sign * part.day_count for part, sign in parts), np.zeros(bought.sum(), np.int64)])
    own = np.arange(len(days)) >= len(days) - bought.sum()
    row = np.searchsorted(items, item)
    inside = items[np.minimum(row, len(items) - 1)] == item
    row, days, counts, own = row[inside], days[inside], counts[inside], own[inside]
    order = np.lexsort((days, row))
    row, days, counts, own = row[order], days[order], counts[order], own[order]
    starts = group_starts(row, days)
    if len(starts):
        counts = np.add.reduceat(counts, starts)
        # What only shares a bucket cancels out; its day is none of this batch's.
        changed = (counts != 0) | np.logical_or.reduceat(own, starts)
        starts, counts = starts[changed], counts[changed]
    return items, totals, (row[starts], days[starts], counts)


def _pair_bucket(owner: Int64, item: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return ((item ^ (owner.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))) >> np.uint64(48)).astype(np.int64)


@dataclass(frozen=True)
class _Contributions:
    """Of (customer, item) pairs: what each adds to its item's totals, and to its item's days."""

    item: npt.NDArray[np.uint64]
    totals: npt.NDArray[np.int64]
    day_item: npt.NDArray[np.uint64]
    day_day: Int64
    day_count: Int64


def _contributions(lines: Purchases, owner: Int64, touched: npt.NDArray[np.bool_]) -> _Contributions:
    """Return what the touched pairs add; pairs that only share a bucket with one add the same before and after."""
    mask = touched[_pair_bucket(owner, lines["item"])]
    lines, owner = pick(lines, mask), owner[mask]
    remaining, amount = net(lines, offsets_of(owner, int(owner[-1]) + 1 if len(owner) else 0))
    keep = remaining > 0
    lines, owner, remaining, amount = lines[keep], owner[keep], remaining[keep], amount[keep]
    day = lines["time"] // DAY
    order = np.lexsort((day, lines["item"], owner))
    item, day = lines["item"][order], day[order]
    pair = group_starts(owner[order], item)
    pair_day = group_starts(owner[order], item, day)
    lengths = group_ends(pair, len(item)) - pair
    totals = np.zeros((len(pair), 5), dtype=np.int64)
    if len(pair):
        days_per_pair = np.diff(np.searchsorted(pair_day, np.append(pair, len(item))))
        totals[:, 0] = lengths
        totals[:, 1] = np.add.reduceat(remaining[order], pair)
        totals[:, 2] = np.add.reduceat(amount[order], pair)
        totals[:, 3] = 1
        totals[:, 4] = days_per_pair - 1
    counts = group_ends(pair_day, len(item)) - pair_day
    return _Contributions(item[pair], totals, item[pair_day], day[pair_day], counts)
