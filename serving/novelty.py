"""Novelty: places of an answer that are kept for items which the customer has never bought."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from serving.candidates import Rows


def reserved(n: int, novelty: float) -> int:
    """How many of `n` places are kept, at least; novelty: 0 to 1, their share."""
    return math.ceil(novelty * n - 1e-9)


def with_novel(novel: NDArray[np.bool_], n: int, least: int) -> Rows:
    """Places of up to `n` items, int64, in their order: the first ones, but for what makes room for new ones.

    Where fewer than `least` of the first are novel, the last of the others give way to the next that are.

    novel: bool[k], items in the order in which they would be answered.
    """
    short = least - int(novel[:n].sum())
    if short <= 0:
        return np.arange(min(n, len(novel)))
    more = n + np.flatnonzero(novel[n:])[:short]
    known = np.flatnonzero(~novel[:n])
    kept = np.delete(np.arange(min(n, len(novel))), known[len(known) - len(more) :])
    return np.concatenate([kept, more])
