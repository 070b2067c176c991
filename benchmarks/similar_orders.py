"""Bought together by other orders than ours: what counting alone, lift alone and significance alone would show."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.similar_quality import AT
from trainer.similarity.baskets import Baskets
from trainer.similarity.neighbours import Plan, beyond_chance, likelihood_ratio, lists
from trainer.similarity.pairs import Pairs, blocks, together

Order = Callable[[Pairs], tuple[NDArray[np.bool_], NDArray[np.float64]]]
"""Which pairs count, and what orders them."""


def by_count(pairs: Pairs) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The number of common baskets."""
    return pairs.count >= Plan().pairs, pairs.count.astype(np.float64)


def by_plain_lift(pairs: Pairs) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """How many times more often than by chance, as counted."""
    return pairs.count >= Plan().pairs, pairs.count / np.maximum(pairs.expected, 1e-12)


def by_significance(pairs: Pairs) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The likelihood ratio, where it is significant."""
    ratio = likelihood_ratio(pairs.count, pairs.expected)
    return (pairs.count >= Plan().pairs) & (ratio >= Plan().significance), ratio


def by_lift(prior: float) -> Order:
    """Ours: lift with a prior, where it is significant."""
    return lambda pairs: beyond_chance(pairs, Plan(prior=prior))


def beside(baskets: Baskets, listed: NDArray[np.bool_], orders: Mapping[str, Order]) -> dict[str, dict[str, list[str]]]:
    """The first ten beside each item by each of some orders, of items that the catalogue lists, bool[n]."""
    found: dict[str, dict[str, list[str]]] = {name: {} for name in orders}
    counted = together(baskets, Plan().baskets)
    for anchors in blocks(counted):
        pairs = counted.of(anchors).where_listed(listed)
        for name, order in orders.items():
            for item, near in lists(pairs, *order(pairs), baskets.item_ids, AT).items():
                found[name][baskets.item_ids[item]] = [each.item_id for each in near]
    return found
