"""The loops of `feature_repo.sessions` and of engagement, compiled; an owner's rows lie end to end, by time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.affinity_loops import CODES, FLOATS, INTS, LINES, codes_of
from feature_repo.compiled import INTEGER, array, compiled
from feature_repo.customer_state import RECENT, EventType
from feature_repo.purchases import DAY, Purchases
from feature_repo.ragged import Int64

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Recent = npt.NDArray[Any]

GAP = 30 * 60_000_000
"""Microseconds without an interaction after which a session is over."""

LONGEST = DAY
"""How far back a session reaches at most, in microseconds."""

NEVER = np.iinfo(np.int64).min

RECENTS = array(RECENT)
# By `EventType`: is it a view, a look, how many units it puts into the cart for each of its own, does it touch an item.
VIEWS = np.isin(np.arange(len(EventType)), [EventType.VIEW, EventType.CLICK]).astype(np.int64)
LOOKS = np.isin(np.arange(len(EventType)), [EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART])
UNITS = np.zeros(len(EventType))
UNITS[EventType.ADD_TO_CART], UNITS[EventType.REMOVE_FROM_CART] = 1.0, -1.0
TOUCHES = LOOKS | (UNITS != 0.0)
IMPRESSION = int(EventType.IMPRESSION)


@compiled(RECENTS, INTS, LINES, INTS, INTS)
def unbroken(
    recent: Recent, recent_offsets: Int64, lines: Purchases, line_offsets: Int64, as_of: Int64
) -> tuple[Int64, Int64, Int64]:
    """Go back from each owner's instant until a pause.

    Returns ``int64[n]`` each: how many interactions that were, the first one's time (0 if none), and ``int64[n, 4]``:
    which of `recent` and which of `lines` they are, from and until.
    """
    n = len(as_of)
    events, started, bounds = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((n, 4), np.int64)
    for who in range(n):
        i, j = recent_offsets[who + 1], line_offsets[who + 1]
        while i > recent_offsets[who] and recent[i - 1].time > as_of[who]:
            i -= 1
        while j > line_offsets[who] and lines[j - 1].time > as_of[who]:
            j -= 1
        bounds[who, 0], bounds[who, 1], bounds[who, 2], bounds[who, 3] = i, i, j, j
        later = as_of[who]
        while True:
            looked = recent[i - 1].time if i > recent_offsets[who] else NEVER
            bought = lines[j - 1].time if j > line_offsets[who] else NEVER
            at = max(looked, bought)
            if at == NEVER or later - at > GAP or as_of[who] - at >= LONGEST:
                break
            if looked >= bought:
                i -= 1
            else:
                j -= 1
            events[who] += 1
            started[who] = later = at
        bounds[who, 0], bounds[who, 2] = i, j
    return events, started, bounds


@compiled(INTEGER)
def known(kind: int) -> int:
    """An interaction's type; one that this program does not know counts as an impression, which is nothing here."""
    return kind if 0 <= kind < len(VIEWS) else IMPRESSION


@compiled(RECENTS, INTS, array(np.int64, 2))
def touched(recent: Recent, rows: Int64, bounds: Int64) -> tuple[Int64, Int64]:
    """The distinct rows of known items that each owner's session touches: where each owner's begin, rows ascending."""
    offsets, room = np.zeros(len(bounds) + 1, np.int64), 0
    for who in range(len(bounds)):
        room += bounds[who, 1] - bounds[who, 0]
    row, count = np.empty(room, np.int64), 0
    for who in range(len(bounds)):
        begin = count
        for i in range(bounds[who, 0], bounds[who, 1]):
            if rows[i] < 0 or not TOUCHES[known(recent[i].type)]:
                continue
            p = begin + np.searchsorted(row[begin:count], rows[i])
            if p == count or row[p] != rows[i]:
                for later in range(count, p, -1):
                    row[later] = row[later - 1]
                row[p] = rows[i]
                count += 1
        offsets[who + 1] = count
    return offsets, row[:count]


@compiled(RECENTS, INTS, LINES, INTS, array(np.int64, 2))
def looked_at(
    recent: Recent, recent_rows: Int64, lines: Purchases, line_rows: Int64, bounds: Int64
) -> tuple[Int64, Int64, Int64, Int64, Bools, Int64, Int64]:
    """Add up what each owner did in its session with each item.

    recent_rows, line_rows: catalogue rows, -1 where unknown; bounds: as `unbroken` returns them. Returns where each
    owner's items begin, and of each, by owner and row: owner, row, views, whether it is in the cart, and when it was
    looked at and bought last, `NEVER` if it was not.
    """
    offsets, row = touched(recent, recent_rows, bounds)
    owner, views, units = np.empty(len(row), np.int64), np.zeros(len(row), np.int64), np.zeros(len(row), np.float64)
    looked, added, bought = np.full(len(row), NEVER), np.full(len(row), NEVER), np.full(len(row), NEVER)
    for who in range(len(bounds)):
        begin, end = offsets[who], offsets[who + 1]
        owner[begin:end] = who
        for i in range(bounds[who, 0], bounds[who, 1]):
            kind, at = known(recent[i].type), recent[i].time
            p = begin + np.searchsorted(row[begin:end], recent_rows[i])
            if p < end and row[p] == recent_rows[i]:
                views[p] += VIEWS[kind]
                units[p] += UNITS[kind] * recent[i].weight
                looked[p] = max(looked[p], at if LOOKS[kind] else NEVER)
                added[p] = max(added[p], at if UNITS[kind] > 0.0 else NEVER)
        for j in range(bounds[who, 2], bounds[who, 3]):
            p = begin + np.searchsorted(row[begin:end], line_rows[j])
            if p < end and row[p] == line_rows[j] and lines[j].quantity > 0:
                bought[p] = max(bought[p], lines[j].time)
    return offsets, owner, row, views, (units > 0.0) & (bought < added), looked, bought


@compiled(INTS, INTS, INTS, array(np.bool_), CODES, INTS, INTS, INTS, INTS)
def pair_columns(
    offsets: Int64,
    row: Int64,
    views: Int64,
    in_cart: Bools,
    table: npt.NDArray[np.int32],
    columns: Int64,
    values: Int64,
    who: Int64,
    candidates: Int64,
) -> Float64:
    """Views, whether it is in the cart, and its category's views, of pairs: ``float64[3, c]``.

    offsets, row, views, in_cart: of the sessions' items; table, columns, values: as `codes_of` takes them, of the
    category or of no attribute.
    """
    out = np.zeros((3, len(candidates)), np.float64)
    looked, wanted = codes_of(table, columns, values, row), codes_of(table, columns, values, candidates)
    for c in range(len(candidates)):
        for p in range(offsets[who[c]], offsets[who[c] + 1]):
            if row[p] == candidates[c]:
                out[0, c], out[1, c] = views[p], in_cart[p]
            if len(columns) and wanted[c, 0] > 0 and looked[p, 0] == wanted[c, 0]:
                out[2, c] += views[p]
    return out


@compiled(RECENTS, INTS, INTS, FLOATS, INTS, INTS, INTS)
def engagement(
    recent: Recent,
    offsets: Int64,
    rows: Int64,
    weights: Float64,
    candidates: Int64,
    candidate_offsets: Int64,
    as_of: Int64,
) -> Float64:
    """What each customer's latest interactions weigh for the candidates, ``float64[c]``, never below 0.

    rows: of the catalogue, -1 where unknown; weights: ``float64[types]``, by an interaction's type, decaying by a day.
    """
    out = np.zeros(len(candidates), np.float64)
    value = np.empty(len(rows), np.float64)
    for who in range(len(as_of)):
        for i in range(offsets[who], offsets[who + 1]):
            age = max(as_of[who] - recent[i].time, 0) / DAY
            value[i] = weights[known(recent[i].type)] * np.exp(-age)
        for c in range(candidate_offsets[who], candidate_offsets[who + 1]):
            total = 0.0
            for i in range(offsets[who], offsets[who + 1]):
                if rows[i] == candidates[c]:
                    total += value[i]
            out[c] = max(total, 0.0)
    return out
