"""The gate: may a newly trained model go live? Pure: figures in, reasons against it out."""

from __future__ import annotations

import math
from collections.abc import Mapping

WORST_AUC = 0.55
MAY_LOSE_AUC = 0.02
MAY_LOSE_NDCG = 0.10
"""Share of the parent's nDCG@10, measured on the same customers, that a child may fall behind by."""
ENOUGH = 100
"""Bought candidates in the exam below which its figures are too uncertain to hold anything against a model."""
WORST_RECALL = 0.5
"""Of the FAISS index against exact search."""

REQUIRED = ("auc", "ndcg_at_10", "ranker_loss", "two_tower_loss", "faiss_recall_at_100")


def objections(figures: Mapping[str, float], parent: Mapping[str, float] | None = None) -> list[str]:
    """Reasons why the model must not go live; none means that it may.

    figures
        `REQUIRED` ones; `auc` and `ndcg_at_10` may be NaN where nobody was held out to measure them on, and count
        only with `ENOUGH` `exam_positives`.
    parent
        `auc` and `ndcg_at_10` of the model in use, measured on the same held-out customers.
    """
    found = [f"{name} was not measured" for name in REQUIRED if name not in figures]
    found += [f"{name} is {value}" for name, value in figures.items() if math.isinf(value) or _is_broken(name, value)]
    if figures.get("faiss_recall_at_100", 1.0) < WORST_RECALL:
        found.append(f"the index finds only {figures['faiss_recall_at_100']:.0%} of the nearest items")
    if figures.get("exam_positives", 0.0) >= ENOUGH:
        found += _quality(figures, parent or {})
    return found


def _is_broken(name: str, value: float) -> bool:
    return (
        math.isnan(value)
        and name not in ("auc", "log_loss", "calibration_error", "ndcg_at_10", "hit_at_10", "candidate_recall")
        and not name.startswith("parent_")
    )


def _quality(figures: Mapping[str, float], parent: Mapping[str, float]) -> list[str]:
    found = []
    if figures.get("auc", 1.0) < WORST_AUC:
        found.append(f"auc {figures['auc']:.3f} is below {WORST_AUC}")
    if figures.get("auc", 1.0) < parent.get("auc", 0.0) - MAY_LOSE_AUC:
        found.append(f"auc fell from {parent['auc']:.3f} to {figures['auc']:.3f}")
    if figures.get("ndcg_at_10", 1.0) < parent.get("ndcg_at_10", 0.0) * (1 - MAY_LOSE_NDCG):
        found.append(f"nDCG@10 fell from {parent['ndcg_at_10']:.4f} to {figures['ndcg_at_10']:.4f}")
    return found
