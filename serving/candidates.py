"""Candidates: what each source proposes for a customer, merged into one list that the ranker scores."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.compiled import array, compiled

Rows = NDArray[np.int64]


class Source(IntFlag):
    """Who proposed an item; a mask, because several may."""

    TWO_TOWER = 1
    HISTORY = 2
    TRENDING = 4
    SESSION = 8
    HOT = 16
    TASTE = 32


SCORED = 150
"""Items scored for a short list: those of 12 are as good as with 500 (docs/adr/0008-speed-of-an-answer.md)."""
SCORED_PER_ITEM = 5
"""Items scored for each one wanted, where that makes more."""


_FIELD = {source: source.name.lower() for source in Source if source.name}


class Limits(NamedTuple):
    """How many items each source may propose, and how many are scored in all at most: so many in training."""

    two_tower: int = 100
    history: int = 400
    trending: int = 100
    session: int = 60
    hot: int = 40
    taste: int = 100
    total: int = 500

    def of(self, source: Source) -> int:
        """The source's own limit."""
        limit: int = getattr(self, _FIELD[source])
        return limit

    def scored(self, n: int, least: int) -> Limits:
        """The same with the total for a list of `n` items: `least`, more for a long list, never more than here."""
        return self._replace(total=min(self.total, max(least, SCORED_PER_ITEM * n)))


LIMITS = Limits()


class Candidates(NamedTuple):
    """Distinct catalogue rows, int64[c], and the mask of the sources that proposed each, uint8[c]."""

    rows: Rows
    sources: NDArray[np.uint8]


def alternating(hot: Rows, trending: Rows, n: int) -> Candidates:
    """The first `n` of two lists in turn, best first: what is hot now, and what has been wanted for weeks.

    Neither crowds the other out: a single look at an item may make it hot, and in a busy shop everything is.
    """
    hot, trending = hot[:n], trending[:n]
    both = np.concatenate([hot, trending])
    turn = np.concatenate([2 * np.arange(len(hot)), 2 * np.arange(len(trending)) + 1])
    order = both[np.argsort(turn)]
    _, first = np.unique(order, return_index=True)
    rows = order[np.sort(first)][:n]
    sources = np.where(np.isin(rows, hot), Source.HOT, 0) | np.where(np.isin(rows, trending), Source.TRENDING, 0)
    return Candidates(rows, sources.astype(np.uint8))


def merge(proposals: Mapping[Source, Rows], limits: Limits = LIMITS) -> Candidates:
    """Merge the sources' lists, each best first and without repetition, into at most `limits.total` candidates, by row.

    Beyond the total every source gives way in proportion: an item counts with its best place, each place taken
    relative to its source's limit; ties go to the smaller catalogue row.
    """
    most = [limits.of(source) for source in proposals]
    parts = [rows[:limit] for rows, limit in zip(proposals.values(), most, strict=True)]
    rows = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    if not len(rows):
        return Candidates(np.zeros(0, np.int64), np.zeros(0, np.uint8))
    masks = np.array(list(proposals), np.uint8)
    own = np.array([[len(part) for part in parts], most], np.int64).T.copy()
    distinct, sources, best = _distinct(rows.argsort(), rows, own, masks)
    if len(distinct) <= limits.total:
        return Candidates(distinct, sources)
    chosen = best.argsort(kind="stable")[: limits.total]
    chosen.sort()
    return Candidates(distinct[chosen], sources[chosen])


@compiled(array(np.int64), array(np.int64), array(np.int64, 2), array(np.uint8))
def _distinct(
    order: Rows, rows: Rows, parts: Rows, masks: NDArray[np.uint8]
) -> tuple[Rows, NDArray[np.uint8], NDArray[np.float64]]:
    """Each row once, ascending, with the mask of its sources and its best place, relative to its source's limit.

    order: sorts ``rows``, which are the sources' one behind the other, equal ones in any order; parts: ``int64[s, 2]``,
    each source's number of rows and its limit; masks: ``uint8[s]``.
    """
    mask, place = np.empty(len(rows), np.uint8), np.empty(len(rows), np.float64)
    at = 0
    for source in range(len(masks)):
        for k in range(parts[source, 0]):
            mask[at], place[at] = masks[source], k / parts[source, 1]
            at += 1
    distinct, sources = np.empty(len(rows), np.int64), np.empty(len(rows), np.uint8)
    best = np.empty(len(rows), np.float64)
    last = -1
    for i in order:
        if last < 0 or distinct[last] != rows[i]:
            last += 1
            distinct[last], sources[last], best[last] = rows[i], mask[i], place[i]
        else:
            sources[last] |= mask[i]
            best[last] = min(best[last], place[i])
    return distinct[: last + 1], sources[: last + 1], best[: last + 1]
