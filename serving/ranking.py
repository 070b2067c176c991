"""Ranking: the best of the scored candidates, in a total order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.candidates import Rows


def top(scores: NDArray[np.floating[Any]], keys: NDArray[np.uint64], n: int) -> Rows:
    """Places of the `n` best of float[c] scores, best first; equal scores go by item key, uint64[c].

    Item keys follow from item ids alone, so every replica answers in the same order.
    """
    if n < len(scores):
        # Everything that may be among the first n: the n-th best score and what ties with it.
        least = -np.partition(-scores, n - 1)[n - 1]
        places = (scores >= least).nonzero()[0]
    else:
        places = np.arange(len(scores))
    order: Rows = places[np.lexsort((keys[places], -scores[places]))][:n].astype(np.int64)
    return order
