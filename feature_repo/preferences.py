"""A customer's most purchased and last purchased value of an item attribute (thesis, section 6.1.1)."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from feature_repo.catalogue import Catalogue
from feature_repo.purchases import Purchases
from feature_repo.ragged import Int64, group_starts, owners

_BLOCK = 4_000_000
"""Cells of a (customer, value) table that are counted at once."""


def preferences(
    lines: Purchases, offsets: Int64, rows: Int64, catalogue: Catalogue, attribute: str
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Return each customer's most purchased and last purchased value of an attribute.

    Most purchased: most lines; ties go to the value bought later, then to the alphabetically first.
    Last purchased: of the latest line; ties of one instant go to the alphabetically first. Lines whose item is
    unknown or lacks the attribute do not count; ``""`` where none is left.

    Parameters
    ----------
    lines, offsets
        Lines of which something is left, ``PURCHASE[m]`` in canonical order, ``int64[n + 1]``.
    rows
        ``int64[m]``: each line's catalogue row, -1 where unknown.
    """
    codes = catalogue.codes[attribute]
    of_row = catalogue.attribute(attribute)
    code = np.where(rows >= 0, of_row[rows] if len(of_row) else 0, 0)
    known = code > 0
    owner, code, time = owners(offsets)[known], code[known].astype(np.int64), lines["time"][known]
    n, width = len(offsets) - 1, len(codes.values)
    most, last = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    step = max(1, _BLOCK // width)
    bounds = np.searchsorted(owner, np.arange(0, n + step, step))
    for block, (start, end) in enumerate(pairwise(bounds.tolist())):
        if start < end:
            first = block * step
            _count_block(
                owner[start:end] - first,
                code[start:end],
                time[start:end],
                codes.ranks(),
                most[first:],
                last[first:],
            )
    values = np.array(codes.values, dtype=object)
    return values[most], values[last]


def _count_block(owner: Int64, code: Int64, time: Int64, ranks: Int64, most: Int64, last: Int64) -> None:
    """Fill in the winning codes of one block of customers."""
    width = len(ranks)
    cell = owner * width + code
    counts = np.bincount(cell)
    latest = np.zeros(len(counts), dtype=np.int64)
    latest[cell] = time  # lines are in the order of time: the last assignment to a cell is its latest
    cells = np.flatnonzero(counts)
    who, what = cells // width, cells % width
    starts, alphabetical = group_starts(who), -ranks[what]
    chosen = who[starts]
    most[chosen] = what[_best(starts, counts[cells], latest[cells], alphabetical)]
    last[chosen] = what[_best(starts, latest[cells], alphabetical)]


def _best(starts: Int64, *keys: Int64) -> Int64:
    """Return each group's row that is largest by the first key, among equals by the next; the last has no equals."""
    rows = np.arange(len(keys[0]), dtype=np.int64)
    group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(rows)))
    for key in keys:
        values = key[rows]
        keep = values == np.maximum.reduceat(values, starts)[group]
        rows, group = rows[keep], group[keep]
        starts = group_starts(group)
    return rows
