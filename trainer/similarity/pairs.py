"""Counting items beside each other, with what chance alone would give.

Two pairs of counts, of the same form: bought *together* is in one basket; bought *instead* is in the next basket of
the customer that holds something of the kind, in the place of an item that this basket has no more.

What chance would give is measured against what was there to be drawn. An item of large baskets stands beside
everything, and bananas stand beside every item; therefore the expectation is the number of places beside the item,
times the share that the other has of all places::

    expected(i, j) = places(i) * places(j) / all places
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.ragged import Int64, lengths_to_offsets, select
from trainer.similarity.baskets import Baskets, groups, holders

Floats = NDArray[np.float64]

AT_ONCE = 4_000_000
"""Pairs counted in one go: what bounds the memory."""


@dataclass(frozen=True)
class Pairs:
    """Counted pairs, sorted by anchor and partner.

    Attributes
    ----------
    anchor, partner
        int64[p]: numbers of two different items.
    count
        int64[p]: how often the partner was beside the anchor, at least once.
    expected
        float64[p]: how often by chance.
    """

    anchor: Int64
    partner: Int64
    count: Int64
    expected: Floats

    def __len__(self) -> int:
        return len(self.anchor)

    def where(self, chosen: NDArray[np.bool_] | Int64) -> Pairs:
        """The pairs chosen by a mask or by their places, in that order."""
        return Pairs(self.anchor[chosen], self.partner[chosen], self.count[chosen], self.expected[chosen])

    def where_listed(self, listed: NDArray[np.bool_]) -> Pairs:
        """The pairs of which both items are listed, bool[n]."""
        return self.where(listed[self.anchor] & listed[self.partner])


def together(baskets: Baskets, least: int) -> Iterator[Pairs]:
    """Pairs of one basket, for a block of anchors at a time; `least`: baskets that both items must be in at least."""
    n, counts = len(baskets.item_ids), baskets.counts
    often = counts >= least
    kept = often[baskets.items]
    basket = np.repeat(np.arange(len(baskets)), baskets.sizes)[kept]
    sizes = np.bincount(basket, minlength=len(baskets))
    thin = Baskets(baskets.item_ids, baskets.items[kept], lengths_to_offsets(sizes), baskets.customer, baskets.time)
    holding, starts = holders(thin)
    # Places beside each item.
    beside = np.bincount(thin.items, weights=(sizes - 1)[basket], minlength=n).astype(np.float64)
    share = np.bincount(thin.items, minlength=n) / max(len(thin.items), 1)
    for anchors in _blocks(np.flatnonzero(often), beside):
        rows, bounds = select(starts, anchors)
        lines, ends = select(thin.offsets, holding[rows])
        anchor = np.repeat(np.repeat(anchors, np.diff(bounds)), np.diff(ends))
        yield _counted(anchor, thin.items[lines], beside, share)


def instead(baskets: Baskets, kind: Int64, least: int, within: int) -> Pairs:
    """Pairs of one kind of which the customer left the first and took the second the next time.

    Parameters
    ----------
    kind
        int64[n]: the kind of each item, -1 for those of none, which nothing takes the place of.
    least
        Baskets that both items must be in at least.
    within
        Microseconds between the two baskets at most.
    """
    n = len(baskets.item_ids)
    parts, kinds = groups(baskets, kind)
    follows = (parts.customer[1:] == parts.customer[:-1]) & (kinds[1:] == kinds[:-1]) & (kinds[1:] >= 0)
    follows &= parts.time[1:] - parts.time[:-1] <= within
    before = np.flatnonzero(follows)
    left, came = _changes(parts, before, n)
    often = baskets.counts >= least
    left, came = (each[often[each % n]] for each in (left, came))
    # Every item that left, beside every item that came in its turn; both sorted by turn.
    turn, item = np.divmod(left, n)
    turns, new = np.divmod(came, n)
    offsets = lengths_to_offsets(np.bincount(turns, minlength=len(before)))
    rows, bounds = select(offsets, turn)
    anchor, partner = np.repeat(item, np.diff(bounds)), new[rows]
    beside = np.bincount(anchor, minlength=n).astype(np.float64)
    arrivals = np.bincount(partner, minlength=n)
    of_kind = np.bincount(np.maximum(kind, 0), weights=arrivals * (kind >= 0))
    share = arrivals / np.maximum(of_kind[np.maximum(kind, 0)], 1.0)
    return _counted(anchor, partner, beside, share)


def _changes(parts: Baskets, before: Int64, n: int) -> tuple[Int64, Int64]:
    """What each part has that the next has not, and the reverse: int64 turn * n + item, sorted."""
    had_rows, had = select(parts.offsets, before)
    has_rows, has = select(parts.offsets, before + 1)
    turn = np.arange(len(before))
    old = np.repeat(turn, np.diff(had)) * n + parts.items[had_rows]
    new = np.repeat(turn, np.diff(has)) * n + parts.items[has_rows]
    return np.setdiff1d(old, new), np.setdiff1d(new, old)


def _blocks(anchors: Int64, places: Floats) -> Iterator[Int64]:
    """Anchors in turns of about `AT_ONCE` pairs."""
    turn = np.cumsum(places[anchors] + 1) // AT_ONCE
    for number in np.unique(turn):
        yield anchors[turn == number]


def _counted(anchor: Int64, partner: Int64, places: Floats, share: Floats) -> Pairs:
    """The pairs of different items with their counts; float64[n] places beside each item, and its share of all."""
    n, other = len(share), anchor != partner
    keys, count = np.unique(anchor[other] * n + partner[other], return_counts=True)
    first, second = np.divmod(keys, n)
    return Pairs(first, second, count, places[first] * share[second])
