"""Purchase lines: how they are packed, ordered, and what returns take back from them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.ragged import Int64, group_ends, group_starts, owners

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
    order = touched[np.lexsort((touched, lines["item"][touched], owner[touched]))]
    starts = group_starts(owner[order], lines["item"][order])
    ends = group_ends(starts, len(order))
    remaining = np.where(returned, 0, quantity)
    has_return = np.add.reduceat(returned[order].astype(np.int64), starts) > 0
    for start, end in zip(starts[has_return], ends[has_return], strict=True):
        rows = order[start:end]
        remaining[rows] = _match_returns(quantity[rows], lines["time"][rows])
    amount = np.where(quantity > 0, amount * remaining // np.maximum(quantity, 1), 0)
    return remaining, amount


def _of_returned_items(owner: Int64, item: npt.NDArray[np.uint64], returned: npt.NDArray[np.bool_]) -> Int64:
    """Return the lines of items that their owner has returned some of: few, and perhaps some others, by a hash."""
    mixed = item ^ (owner.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return np.flatnonzero(np.isin(mixed, mixed[returned]))


def _match_returns(quantity: Int64, time: Int64) -> Int64:
    """Bracket matching for the lines of one customer and item; purchases come before returns of the same instant."""
    order = np.lexsort((quantity < 0, time))
    step = quantity[order]
    walk = np.cumsum(step)
    balance = walk - np.minimum(np.minimum.accumulate(walk), 0)
    before = balance - np.where(step > 0, step, 0)
    lowest_after = np.minimum.accumulate(balance[::-1])[::-1]
    remaining = np.zeros(len(step), dtype=np.int64)
    remaining[order] = np.where(step > 0, np.clip(lowest_after - before, 0, step), 0)
    return remaining


def kept(lines: Purchases, offsets: Int64) -> tuple[Purchases, Int64, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return only the lines of which something is left, with their offsets, remaining units and amounts."""
    remaining, amount = net(lines, offsets)
    keep = remaining > 0
    if keep.all():
        return lines, offsets, remaining, amount
    running = np.concatenate(([0], np.cumsum(keep)))
    return lines[keep], running[offsets], remaining[keep], amount[keep]
