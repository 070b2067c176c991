"""Diversity: maximal marginal relevance (Carbonell and Goldstein, 1998) over the best of the scored candidates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.candidates import Rows

POOL = 5
"""So many times the items wanted are looked at, best first: what comes later is no answer, however different."""


def diverse(scores: NDArray[np.floating[Any]], similarity: NDArray[np.floating[Any]], n: int, diversity: float) -> Rows:
    """Places of up to `n` items, int64, chosen one by one.

    Each is the one of the greatest (1 - diversity) * relevance - diversity * similarity, where relevance is its score
    between the least and the best of all (0 to 1), and similarity that to the most similar one chosen before.

    scores: float[k], best first; similarity: float[k, k] in 0 to 1; diversity: 0 to 1. Ties go to the better score.
    """
    width = float(scores[0] - scores[-1]) if len(scores) else 0.0
    relevance = (scores - scores[-1]) / width if width else np.zeros(len(scores))
    nearest, left = np.zeros(len(scores)), np.ones(len(scores), np.bool_)
    chosen: list[int] = []
    while len(chosen) < min(n, len(scores)):
        worth = np.where(left, (1.0 - diversity) * relevance - diversity * nearest, -np.inf)
        best = int(np.argmax(worth))
        chosen.append(best)
        left[best] = False
        nearest = np.maximum(nearest, similarity[best])
    return np.array(chosen, np.int64)


def similarities(
    categories: NDArray[np.int32] | None, vectors: NDArray[np.float32] | None, count: int
) -> NDArray[np.float64]:
    """float64[k, k] in 0 to 1: 1 within a category, else the cosine of the model's vectors, 0 where it is below.

    categories: int32[k] codes, 0 for none, or None for a shop without; vectors: float32[k, d], zeros for items that
    the model does not know, or None without a model.
    """
    found = np.zeros((count, count))
    if vectors is not None:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
        found = np.clip(unit @ unit.T, 0.0, 1.0).astype(np.float64)
    if categories is not None:
        found[(categories[:, None] == categories) & (categories > 0)] = 1.0
    return found
