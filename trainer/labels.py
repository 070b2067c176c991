"""Algorithm 1 of the thesis (6.3): a labelled set out of purchases alone.

Positives are the pairs bought in the days after the split. Negatives are drawn: items by their purchases weighted by
recency, customers by their recent activity, and no drawn pair may be a positive. Both weights are those of the split.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from feature_repo.customer_state import EventType
from feature_repo.point_in_time import Log
from feature_repo.popularity import DECAY_DAYS
from feature_repo.purchases import DAY
from trainer.windows import Int64, Pairs, Window, distinct

Weights = NDArray[np.float64]

_ROUNDS = 50


def item_weights(window: Window) -> Weights:
    """float64[catalogue]: purchases of the last days before the split, weighted by recency."""
    weights: Weights = window.items["time_weighted_purchases"]
    return weights


def customer_weights(log: Log, window: Window) -> Weights:
    """float64[customers]: purchase lines before the split, weighted by recency as items are."""
    events, at = log.events, window.span.split_at
    # Known at the split means arrived by then as well; the snapshot holds to the same.
    past = (np.maximum(events.time, events.arrival) <= at) & (events.type == EventType.PURCHASE)
    age = (at - events.time[past]) / DAY
    return np.bincount(events.customer[past], np.exp(-age / DECAY_DAYS), len(log.customer_ids)).astype(np.float64)


def negatives(positives: Pairs, wanted: int, customers: Weights, items: Weights, rng: np.random.Generator) -> Pairs:
    """Draw `wanted` distinct pairs that are no positives, customers and items independently by their weights.

    Fewer are returned where the shop is too small to hold so many. Raises ValueError where nothing has a weight.
    """
    if not (customers.sum() > 0 and items.sum() > 0):
        raise ValueError("no customer or item was active before the split: there is nothing to draw negatives from")
    width = len(items)
    taken = positives.keys(width)
    drawn: Int64 = np.zeros(0, np.int64)
    for _ in range(_ROUNDS):
        missing = wanted - len(drawn)
        if missing <= 0:
            break
        batch = _draw(customers, 2 * missing, rng) * width + _draw(items, 2 * missing, rng)
        fresh = np.setdiff1d(batch, taken)
        fresh = np.setdiff1d(fresh, drawn)
        drawn = np.concatenate([drawn, rng.permutation(fresh)[:missing]])
    return distinct(drawn // width, drawn % width, width)


def labelled(
    positives: Pairs, customers: Weights, items: Weights, rng: np.random.Generator
) -> tuple[Pairs, NDArray[np.float32]]:
    """Algorithm 1 whole: the pairs, shuffled, and float32 labels, as many negatives as positives."""
    drawn = negatives(positives, len(positives.customer), customers, items, rng)
    customer = np.concatenate([positives.customer, drawn.customer])
    item = np.concatenate([positives.item, drawn.item])
    label = np.repeat(np.array([1.0, 0.0], np.float32), [len(positives.customer), len(drawn.customer)])
    order = rng.permutation(len(label))
    return Pairs(customer[order], item[order]), label[order]


def _draw(weights: Weights, n: int, rng: np.random.Generator) -> Int64:
    """int64[n]: rows drawn with replacement in proportion to their weights."""
    edges = np.cumsum(weights)
    rows: Int64 = np.searchsorted(edges, rng.random(n) * edges[-1], side="right").astype(np.int64)
    return rows
