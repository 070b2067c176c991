"""The loops of `feature_repo.affinity`, compiled; customers' rows lie end to end, see `feature_repo.ragged`.

Many columns come back as one table, for making each array costs more than filling it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.compiled import array, compiled
from feature_repo.purchases import DAY, PURCHASE, Purchases
from feature_repo.ragged import Int64
from feature_repo.rfm import NEVER_DAYS

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

SHORT_DAYS, LONG_DAYS = 20.0, 90.0
"""Time constants of the decayed counts, in days."""

RHYTHM_LIMIT = 10.0
"""Largest ratio of the time since the last purchase to the usual interval."""

INTS, FLOATS, CODES, LINES = array(np.int64), array(np.float64), array(np.int32, 2), array(PURCHASE)


@compiled(LINES, INTS, INTS, INTS)
def weighed(lines: Purchases, offsets: Int64, rows: Int64, as_of: Int64) -> tuple[Int64, Int64, Float64]:
    """Weigh the lines of known items by their age.

    lines: ``PURCHASE[m]``, each customer's by time; rows: ``int64[m]`` of the catalogue, -1 where unknown; as_of:
    ``int64[n]``. Returns offsets ``int64[n + 1]``; of the lines ``int64[4, l]``: owner, row, time, and which of the
    customer's shopping days it was on, from 1; and ``float64[2, l]``: exp(-age / 20 d), exp(-age / 90 d).
    """
    n, m = len(as_of), len(rows)
    kept = np.zeros(n + 1, np.int64)
    facts, weights = np.empty((4, m), np.int64), np.empty((2, m), np.float64)
    owner, row, time, day = facts[0], facts[1], facts[2], facts[3]
    short, long = weights[0], weights[1]
    k = 0
    for who in range(n):
        days, latest = 0, np.int64(0)
        for i in range(offsets[who], offsets[who + 1]):
            if rows[i] < 0:
                continue
            at = lines[i].time
            age = max(as_of[who] - at, 0) / DAY
            if days == 0 or at // DAY != latest:
                days, latest = days + 1, at // DAY
            owner[k], row[k], time[k], day[k] = who, rows[i], at, days
            short[k], long[k] = np.exp(-age / SHORT_DAYS), np.exp(-age / LONG_DAYS)
            k += 1
        kept[who + 1] = k
    return kept, facts[:, :k], weights[:, :k]


@compiled(INTS, INTS, INTS, INTS, INTS, FLOATS, FLOATS, INTS)
def paired(
    order: Int64, owner: Int64, row: Int64, time: Int64, day: Int64, short: Float64, long: Float64, offsets: Int64
) -> tuple[Int64, Int64, Int64, Float64]:
    """Add up the lines of each (customer, item) pair.

    order: ``int64[l]`` sorts the lines by customer, row and time; the others as `weighed` returns them. Returns where
    each customer's pairs begin, and its shopping days; of the pairs ``int64[7, p]``: customer, row, lines, days with a
    line, first and last time, and the customer's shopping days since the last line; and ``float64[2, p]``: both decayed
    counts.
    """
    m, n = len(order), len(offsets) - 1
    facts, decayed = np.empty((7, m), np.int64), np.empty((2, m), np.float64)
    whose, which, lines, days, first, last, since = (
        facts[0], facts[1], facts[2], facts[3], facts[4], facts[5], facts[6]
    )  # fmt: skip
    decayed_20, decayed_90 = decayed[0], decayed[1]
    begin, shopping_days = np.zeros(n + 1, np.int64), np.zeros(n, np.int64)
    for who in range(n):
        if offsets[who + 1] > offsets[who]:
            shopping_days[who] = day[offsets[who + 1] - 1]
    p, latest = -1, np.int64(0)
    for i in order:
        who = owner[i]
        if p < 0 or which[p] != row[i] or whose[p] != who:
            p, latest = p + 1, np.int64(0)
            whose[p], which[p], first[p], lines[p], days[p] = who, row[i], time[i], 0, 0
            decayed_20[p], decayed_90[p] = 0.0, 0.0
            begin[who + 1] += 1
        lines[p] += 1
        if day[i] != latest:
            days[p], latest = days[p] + 1, day[i]
        last[p], since[p] = time[i], shopping_days[who] - day[i]
        decayed_20[p] += short[i]
        decayed_90[p] += long[i]
    for who in range(n):
        begin[who + 1] += begin[who]
    p += 1
    return begin, shopping_days, facts[:, :p], decayed[:, :p]


@compiled(INTS, INTS, INTS, INTS, INTS, INTS, FLOATS, FLOATS, INTS, INTS, INTS, INTS, INTS, INTS)
def pair_columns(
    row: Int64, offsets: Int64, lines: Int64, days: Int64, first_at: Int64, last_at: Int64, decayed_20: Float64,
    decayed_90: Float64, rank: Int64, since: Int64, shopping_days: Int64, candidates: Int64, candidate_offsets: Int64,
    as_of: Int64,
) -> Float64:  # fmt: skip
    """Look each customer's candidates up among its pairs: ``float64[10, c]``, as `affinity.PAIR_COLUMNS` has them."""
    out = np.zeros((10, len(candidates)), np.float64)
    for who in range(len(as_of)):
        start, end = offsets[who], offsets[who + 1]
        own = row[start:end]
        for c in range(candidate_offsets[who], candidate_offsets[who + 1]):
            p = start + np.searchsorted(own, candidates[c])
            if p == end or row[p] != candidates[c]:
                out[3, c], out[5, c] = NEVER_DAYS, -1.0
                continue
            recency = max(as_of[who] - last_at[p], 0) / DAY
            out[0, c], out[1, c] = lines[p], days[p]
            out[2, c] = days[p] / max(shopping_days[who], 1)
            out[3, c], out[5, c] = recency, -1.0
            if days[p] > 1:
                interval = (last_at[p] - first_at[p]) / DAY / (days[p] - 1)
                out[4, c], out[5, c] = interval, min(recency / max(interval, 1e-9), RHYTHM_LIMIT)
            out[6, c], out[7, c], out[8, c] = since[p], decayed_20[p], decayed_90[p]
            out[9, c] = 1.0 / (1.0 + rank[p])
    return out


@compiled(CODES, INTS, INTS, INTS)
def codes_of(table: Int32, columns: Int64, values: Int64, rows: Int64) -> Int64:
    """Each row's codes in some columns of the table, ``int64[k, a]``.

    A code that is not below its column's ``values`` counts as 0, and so does a row that is not in the table: another
    thread may be writing.
    """
    out = np.zeros((len(rows), len(columns)), np.int64)
    for i in range(len(rows)):
        if rows[i] < len(table):
            for a in range(len(columns)):
                code = table[rows[i], columns[a]]
                if code < values[a]:
                    out[i, a] = code
    return out


@compiled(INTS, INTS, INTS, FLOATS, CODES, INTS, INTS, INTS, INTS, INTS)
def category_columns(
    offsets: Int64,
    row: Int64,
    time: Int64,
    weight_90: Float64,
    table: Int32,
    columns: Int64,
    values: Int64,
    candidates: Int64,
    candidate_offsets: Int64,
    as_of: Int64,
) -> Float64:
    """What each customer bought of the candidates' categories: ``float64[3, c]``, as `affinity.CATEGORY_COLUMNS`.

    offsets, row, time, weight_90: of the lines, added up one by one, so that categories of the same baskets tie; table,
    columns, values: where the category's codes are, as `codes_of` takes them; code 0 is no category.
    """
    out = np.zeros((3, len(candidates)), np.float64)
    count, last, weight = np.zeros(values[0], np.int64), np.zeros(values[0], np.int64), np.zeros(values[0], np.float64)
    bought, reciprocal = np.empty(values[0], np.int64), np.zeros(values[0], np.float64)
    held, wanted = codes_of(table, columns, values, row), codes_of(table, columns, values, candidates)
    for who in range(len(as_of)):
        different = 0
        for i in range(offsets[who], offsets[who + 1]):
            own = held[i, 0]
            if count[own] == 0:
                bought[different] = own
                different += 1
            count[own] += 1
            last[own] = time[i]
            weight[own] += weight_90[i]
        for c in range(candidate_offsets[who], candidate_offsets[who + 1]):
            own = wanted[c, 0]
            if own == 0 or count[own] == 0:
                out[1, c] = NEVER_DAYS
                continue
            if reciprocal[own] == 0.0:
                before = 0
                for other in bought[:different]:
                    if weight[other] > weight[own] or (weight[other] == weight[own] and other < own):
                        before += 1
                reciprocal[own] = 1.0 / (1.0 + before)
            out[0, c], out[1, c], out[2, c] = count[own], max(as_of[who] - last[own], 0) / DAY, reciprocal[own]
        for own in bought[:different]:
            count[own], weight[own], reciprocal[own] = 0, 0.0, 0.0
    return out


@compiled(INTS, INTS, FLOATS, CODES, INTS, INTS, INTS, INTS)
def shares(
    offsets: Int64,
    row: Int64,
    decayed_90: Float64,
    table: Int32,
    columns: Int64,
    values: Int64,
    candidates: Int64,
    candidate_offsets: Int64,
) -> Float64:
    """The share of each customer's purchases that have the candidate's codes: ``float64[a, c]``, 0 for code 0.

    offsets, row, decayed_90: of the pairs; table, columns, values: as `codes_of` takes them.
    """
    out = np.zeros((len(columns), len(candidates)), np.float64)
    weight = np.zeros((len(columns), max(values)), np.float64)
    held, wanted = codes_of(table, columns, values, row), codes_of(table, columns, values, candidates)
    for who in range(len(offsets) - 1):
        total = 0.0
        for i in range(offsets[who], offsets[who + 1]):
            total += decayed_90[i]
            for a in range(len(columns)):
                weight[a, held[i, a]] += decayed_90[i]
        for c in range(candidate_offsets[who], candidate_offsets[who + 1]):
            for a in range(len(columns)):
                if wanted[c, a] > 0 and total > 0.0:
                    out[a, c] = weight[a, wanted[c, a]] / total
        for i in range(offsets[who], offsets[who + 1]):
            for a in range(len(columns)):
                weight[a, held[i, a]] = 0.0
    return out
