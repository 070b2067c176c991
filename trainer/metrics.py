"""Figures of a scorer: area under the ROC curve, and nDCG@10 as protocol A has it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.windows import Int64

Floats = NDArray[np.float32]


def auc(label: Floats, score: Floats) -> float:
    """Area under the ROC curve; ties count half. NaN where one of the classes is missing."""
    positive = label > 0
    n, m = int(positive.sum()), int((~positive).sum())
    if n == 0 or m == 0:
        return float("nan")
    values, at = np.unique(score, return_inverse=True)
    counts = np.bincount(at, minlength=len(values))
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    return float((mean_rank[at][positive].sum() - n * (n + 1) / 2) / (n * m))


def log_loss(label: Floats, score: Floats) -> float:
    """Mean cross-entropy of probabilities."""
    p = np.clip(score.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-(label * np.log(p) + (1 - label) * np.log(1 - p)).mean()) if len(label) else float("nan")


class Ranking(NamedTuple):
    """Means over customers: nDCG@k, hit@k, and the share of the truth that was among the candidates."""

    ndcg: float
    hit: float
    recall: float


def ranking(customer: Int64, label: Floats, score: Floats, truth: Int64, k: int = 10) -> Ranking:
    """Figures of the lists that sorting each customer's candidates by score makes.

    customer: int64[m] of each candidate; truth: int64[customers], how many items each bought, candidates or not;
    customers without truth don't count. Binary relevance, ideal = min(k, truth).
    """
    order = np.lexsort((-score, customer))
    who, gain = customer[order], label[order]
    first = np.searchsorted(who, np.arange(len(truth)))
    place = np.arange(len(who)) - first[who]
    discount = 1 / np.log2(np.arange(2, k + 2))
    top = place < k
    found = np.bincount(who[top], gain[top] * discount[place[top]], minlength=len(truth))
    hits = np.bincount(who[top], gain[top], minlength=len(truth))
    reached = np.bincount(who, gain, minlength=len(truth))
    counts = truth > 0
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(truth, k)]
    if not counts.any():
        return Ranking(float("nan"), float("nan"), float("nan"))
    return Ranking(
        float((found[counts] / ideal[counts]).mean()),
        float((hits[counts] > 0).mean()),
        float(reached.sum() / truth[counts].sum()),
    )
