"""Neighbours of every item from its baskets: who is beside it more than chance explains, and by how much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.purchases import DAY
from feature_repo.ragged import Int64
from streams.contracts.operations import ItemNeighbours, Neighbour
from trainer.similarity.baskets import Baskets
from trainer.similarity.pairs import Pairs, blocks, instead, together

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What counts as evidence.

    Attributes
    ----------
    baskets
        An item that was in fewer has no neighbours and is none.
    pairs
        How often two must have been beside each other.
    significance
        The least log-likelihood ratio of a pair; 10.83 is reached by one pair in a thousand by chance.
    prior
        Expected and counted pairs that are added before the two are compared: what keeps a pair of rare items that
        met three times behind one that met a hundred times.
    doubt
        Times that something unknown was taken instead, added to those counted.
    listed
        Neighbours kept of an item, of each kind.
    within_days
        A customer who comes back to a kind of item later than that is not said to have replaced one by another.
    """

    baskets: int = 5
    pairs: int = 3
    significance: float = 10.83
    prior: float = 5.0
    doubt: float = 5.0
    listed: int = 50
    within_days: int = 60


def likelihood_ratio(count: Int64, expected: Floats) -> Floats:
    """Dunning's G² of a Poisson count against its expectation, 0 where there are not more than expected."""
    more = count > expected
    ratio = 2.0 * (count * np.log(count / np.maximum(expected, 1e-12)) - (count - expected))
    return np.where(more, ratio, 0.0)


def lift(count: Int64, expected: Floats, prior: float) -> Floats:
    """How many times more often than by chance, drawn towards 1 where little is known.

    The mean of a Gamma prior of shape and rate `prior` after Poisson counts, as in DuMouchel's empirical Bayes
    screening (1999): (count + prior) / (expected + prior).
    """
    return (count + prior) / (expected + prior)


def strength(lifts: Floats) -> Floats:
    """Lift as a number from 0 (chance or less) to 1: the share of the pairs that chance leaves unexplained."""
    return np.maximum(1.0 - 1.0 / lifts, 0.0)


def beyond_chance(pairs: Pairs, plan: Plan) -> tuple[NDArray[np.bool_], Floats]:
    """Which pairs of one basket are evidence, bool[p], and their strengths, float64[p]."""
    holds = pairs.count >= plan.pairs
    holds &= likelihood_ratio(pairs.count, pairs.expected) >= plan.significance
    return holds, strength(lift(pairs.count, pairs.expected, plan.prior))


def share_taken(pairs: Pairs, plan: Plan) -> tuple[NDArray[np.bool_], Floats]:
    """Which pairs of taken instead are evidence, bool[p], and their shares, float64[p].

    Of all that was taken when the anchor was left, the share that was the partner, as if `plan.doubt` others had been
    taken too. Here what is liked by everybody may lead: within one category it is no stranger.
    """
    taken = np.bincount(pairs.anchor, weights=pairs.count)
    places = taken[pairs.anchor] if len(pairs) else np.zeros(0)
    return pairs.count >= plan.pairs, pairs.count / (places + plan.doubt)


def neighbours(baskets: Baskets, kind: Int64, listed: NDArray[np.bool_], plan: Plan) -> Iterator[ItemNeighbours]:
    """The neighbours of every item that has some, made as they are asked for.

    Parameters
    ----------
    kind
        int64[n]: number of each item's category, -1 for none; only items of one category replace each other.
    listed
        bool[n]: whether the catalogue still has the item; the others are nobody's neighbours.
    """
    if not len(baskets):
        return
    until = int(baskets.time.max()) // 1000
    ids, counts = baskets.item_ids, baskets.counts
    beside = together(baskets, plan.baskets)
    replacing = instead(baskets, kind, plan.baskets, plan.within_days * DAY)
    for anchors in blocks(beside, replacing):
        pairs, left = (each.of(anchors).where_listed(listed) for each in (beside, replacing))
        found = lists(pairs, *beyond_chance(pairs, plan), ids, plan.listed)
        others = lists(left, *share_taken(left, plan), ids, plan.listed)
        for item in sorted(found.keys() | others.keys()):
            yield _of(ids[item], until, int(counts[item]), found.get(item, []), others.get(item, []))


def _of(item_id: str, until: int, baskets: int, together: list[Neighbour], instead: list[Neighbour]) -> ItemNeighbours:
    return ItemNeighbours(item_id=item_id, counted_until=until, baskets=baskets, together=together, instead=instead)


def lists(
    pairs: Pairs, holds: NDArray[np.bool_], score: Floats, ids: list[str], most: int
) -> dict[int, list[Neighbour]]:
    """Up to `most` neighbours by anchor, the best first, of the pairs that hold."""
    chosen = np.flatnonzero(holds)
    order = chosen[np.lexsort((pairs.partner[chosen], -score[chosen], pairs.anchor[chosen]))]
    anchor = pairs.anchor[order]  # sorted
    order = order[np.arange(len(order)) - np.searchsorted(anchor, anchor) < most]
    best = pairs.where(order)
    found: dict[int, list[Neighbour]] = {}
    for item, partner, count, value in zip(
        best.anchor.tolist(), best.partner.tolist(), best.count.tolist(), score[order].tolist(), strict=True
    ):
        found.setdefault(item, []).append(Neighbour(item_id=ids[partner], score=round(value, 4), baskets=count))
    return found
