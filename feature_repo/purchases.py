"""Purchase lines: how they are packed, ordered, and what returns take back from them."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from feature_repo.ragged import Int64, group_starts, keep, owners

DAY = 86_400_000_000
"""Microseconds in a day."""

PURCHASE = np.dtype([("time", "<i8"), ("item", "<u8"), ("quantity", "<i4"), ("amount", "<i4")])
"""One purchase line: event time in microseconds since the epoch, item key, units (negative: a return) and the
line's amount in minor units of the currency (-1: unknown)."""

Purchases = npt.NDArray[Any]
"""An array of dtype ``PURCHASE``."""


def canonical_order(owner: Int64, lines: Purchases) -> Int64:
    """Return the permutation that sorts lines by owner, then by the total order (time, item, quantity, amount).

    Two lines that tie in all of these are interchangeable, so whatever is computed from the sorted lines does
    not depend on the order in which they arrived.
    """
    return np.lexsort((lines["amount"], lines["quantity"], lines["item"], lines["time"], owner))


def net(lines: Purchases, offsets: Int64) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return what is left of each line once returns have taken back what their purchases added.

    A return takes back the latest units of its item that the customer bought at or before it and has not
    returned yet, like a closing bracket; units returned without a purchase are ignored.

    Parameters
    ----------
    lines
        ``PURCHASE[m]``, each owner's in canonical order.
    offsets
        ``int64[n + 1]``.

    Returns
    -------
    remaining : int64[m]
        Units left; 0 for returns and for what was returned whole.
    amount : int64[m]
        Minor units left, pro rata and rounded down; 0 where the price is unknown.
    """
    quantity = lines["quantity"].astype(np.int64)
    amount = np.maximum(lines["amount"].astype(np.int64), 0)
    returned = quantity < 0
    if not returned.any():
        return quantity, amount
    owner = owners(offsets)
    touched = _of_returned_items(owner, lines["item"], returned)
    # Purchases come before returns of the same instant.
    order = touched[np.lexsort((returned[touched], lines["time"][touched], lines["item"][touched], owner[touched]))]
    starts = group_starts(owner[order], lines["item"][order])
    remaining = np.where(returned, 0, quantity)
    remaining[order] = _match_returns(quantity[order], starts)
    amount = np.where(quantity > 0, amount * remaining // np.maximum(quantity, 1), 0)
    return remaining, amount


def _of_returned_items(owner: Int64, item: npt.NDArray[np.uint64], returned: npt.NDArray[np.bool_]) -> Int64:
    """Return the lines of items that their owner has returned some of: few, and perhaps some others, by a hash."""
    bucket = (item ^ (owner.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))) >> np.uint64(48)
    has_return = np.zeros(1 << 16, dtype=np.bool_)
    has_return[bucket[returned]] = True
    return np.flatnonzero(has_return[bucket])


def _match_returns(step: Int64, starts: Int64) -> Int64:
    """Bracket matching within each group of lines in the order of time: the units that stay open of each."""
    group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(step)))
    total = np.cumsum(step)
    walk = total - (total[starts] - step[starts])[group]
    balance = walk - np.minimum(_lowest_so_far(walk, group), 0)
    before = balance - np.maximum(step, 0)
    lowest_after = _lowest_so_far(balance[::-1], len(starts) - 1 - group[::-1])[::-1]
    return np.where(step > 0, np.clip(lowest_after - before, 0, np.maximum(step, 0)), 0)


def _lowest_so_far(values: Int64, group: Int64) -> Int64:
    """Return the running minimum within each group; groups are numbered from 0 on, in order."""
    below = group * (int(np.ptp(values)) + 1)  # puts each group below all before it
    return np.minimum.accumulate(values - below) + below


class Kept(NamedTuple):
    """Lines of which something is left.

    Attributes
    ----------
    lines, offsets
        ``PURCHASE[m]`` in canonical order, ``int64[n + 1]``.
    remaining, amount
        ``int64[m]``: units and minor units left.
    """

    lines: Purchases
    offsets: Int64
    remaining: Int64
    amount: Int64


def kept(lines: Purchases, offsets: Int64) -> Kept:
    """Return only the lines of which something is left."""
    remaining, amount = net(lines, offsets)
    left = remaining > 0
    if left.all():
        return Kept(lines, offsets, remaining, amount)
    return Kept(*keep(lines, offsets, left), remaining[left], amount[left])
