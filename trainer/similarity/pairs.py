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
from trainer.similarity.baskets import Baskets, groups

Floats = NDArray[np.float64]
Int32 = NDArray[np.int32]

AT_ONCE = 1_000_000
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


@dataclass(frozen=True)
class Beside:
    """Who lies beside whom, ready to be counted: each item is the anchor of groups, each group has its partners.

    Attributes
    ----------
    groups, starts
        int32[k] and int64[n + 1]: the groups of each item, and where they begin.
    partners, offsets
        int32[m] and int64[g + 1]: the partners in each group, and where they begin; the anchor may be among them.
    places
        float64[n]: partners beside each item, in all its groups.
    share
        float64[n]: of all that may lie beside an item, what each item is.
    """

    groups: Int32
    starts: Int64
    partners: Int32
    offsets: Int64
    places: Floats
    share: Floats

    def of(self, anchors: Int64) -> Pairs:
        """The pairs of some items, with what chance would give."""
        n = len(self.share)
        rows, bounds = select(self.starts, anchors)
        lines, ends = select(self.offsets, self.groups[rows].astype(np.int64))
        anchor = np.repeat(np.repeat(anchors, np.diff(bounds)), np.diff(ends))
        partner = self.partners[lines]
        other = anchor != partner
        keys, count = np.unique(anchor[other] * n + partner[other], return_counts=True)
        first, second = np.divmod(keys, n)
        return Pairs(first, second, count, self.places[first] * self.share[second])


def blocks(*counted: Beside) -> Iterator[Int64]:
    """All anchors, int64[…] at a time: so many that about `AT_ONCE` pairs are counted of each kind."""
    places = np.maximum.reduce([each.places for each in counted])
    turn = np.cumsum(places + 1.0) // AT_ONCE
    for anchors in np.split(np.arange(len(turn)), np.flatnonzero(np.diff(turn)) + 1):
        if len(anchors):
            yield anchors


def together(baskets: Baskets, least: int) -> Beside:
    """Pairs of one basket; `least`: baskets that both items must be in at least."""
    n, often = len(baskets.item_ids), baskets.counts >= least
    kept = often[baskets.items]
    basket = np.repeat(np.arange(len(baskets), dtype=np.int32), baskets.sizes)[kept]
    items = baskets.items[kept].astype(np.int32)
    sizes = np.bincount(basket, minlength=len(baskets))
    places = np.bincount(items, weights=(sizes - 1)[basket], minlength=n).astype(np.float64)
    share = np.bincount(items, minlength=n) / max(len(items), 1)
    return Beside(
        basket[np.argsort(items, kind="stable")],
        lengths_to_offsets(np.bincount(items, minlength=n)),
        items,
        lengths_to_offsets(sizes),
        places,
        share,
    )


def instead(baskets: Baskets, kind: Int64, least: int, within: int) -> Beside:
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
    n, often = len(baskets.item_ids), baskets.counts >= least
    left: list[Int32] = []
    came: list[Int32] = []
    turns = 0
    for some in baskets.by_customers(AT_ONCE):
        count, gone, new = _changes(some, kind, within)
        for all_of, side in ((left, gone), (came, new)):
            all_of.append((side[:, often[side[1]]] + [[turns], [0]]).astype(np.int32))
        turns += count
    # Every item that left, beside every item that came in its turn; both sorted by turn.
    turn, item = np.concatenate(left, axis=1)
    arriving, arrived = np.concatenate(came, axis=1)
    leaving, coming = (np.bincount(each, minlength=turns) for each in (turn, arriving))
    places = np.bincount(item, weights=coming[turn], minlength=n).astype(np.float64)
    arrivals = np.bincount(arrived, weights=leaving[arriving], minlength=n)
    of_kind = np.bincount(np.maximum(kind, 0), weights=arrivals * (kind >= 0))
    share = arrivals / np.maximum(of_kind[np.maximum(kind, 0)], 1.0)
    groups_of = turn[np.argsort(item, kind="stable")]
    return Beside(
        groups_of,
        lengths_to_offsets(np.bincount(item, minlength=n)),
        arrived,
        lengths_to_offsets(coming),
        places,
        share,
    )


def _changes(baskets: Baskets, kind: Int64, within: int) -> tuple[int, Int64, Int64]:
    """How often a customer came back to a kind, and int64[2, …] turn and item of what was left and of what was new."""
    n = len(baskets.item_ids)
    parts, kinds = groups(baskets, kind)
    follows = (parts.customer[1:] == parts.customer[:-1]) & (kinds[1:] == kinds[:-1]) & (kinds[1:] >= 0)
    follows &= parts.time[1:] - parts.time[:-1] <= within
    before = np.flatnonzero(follows)
    had_rows, had = select(parts.offsets, before)
    has_rows, has = select(parts.offsets, before + 1)
    turn = np.arange(len(before))
    old = np.repeat(turn, np.diff(had)) * n + parts.items[had_rows]
    new = np.repeat(turn, np.diff(has)) * n + parts.items[has_rows]
    gone, come = (np.stack(np.divmod(each, n)) for each in (np.setdiff1d(old, new), np.setdiff1d(new, old)))
    return len(before), gone, come
