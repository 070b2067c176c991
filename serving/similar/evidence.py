"""What speaks for candidates beside an item, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.similar.item_vectors import Rows
from streams.contracts.operations import Neighbour

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What speaks for each of `k` candidates beside one item.

    Attributes
    ----------
    rows
        int64[k]: their catalogue rows, ascending.
    cosine
        float32[k]: of the texts, NaN where there is none by the same encoder.
    together
        float64[k]: share of the common baskets that chance leaves unexplained; 0 where there is no evidence.
    instead
        float64[k]: share of the times that the other was left in which this one was taken; 0 without evidence.
    popularity
        float64[k]: 0 for what nobody buys to 1 for the best seller; the logarithm of the purchases over that of the
        best seller's.
    """

    rows: Rows
    cosine: NDArray[np.float32]
    together: Floats
    instead: Floats
    popularity: Floats


def strengths(neighbours: Mapping[int, Neighbour], rows: Rows) -> NDArray[np.float64]:
    """float64[k]: the neighbours' scores for ascending rows, 0 for others."""
    out = np.zeros(len(rows))
    if neighbours and len(rows):
        theirs = np.fromiter(neighbours, np.int64, len(neighbours))
        scores = np.array([each.score for each in neighbours.values()])
        at = np.minimum(np.searchsorted(rows, theirs), len(rows) - 1)
        there = rows[at] == theirs
        out[at[there]] = scores[there]
    return out


def popularity_of(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[k]: the rows' weights, 0 for rows that came after the weights were made."""
    out = np.zeros(len(rows))
    known = rows < len(weights)
    out[known] = weights[rows[known]]
    return out


def selling(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[k]: the logarithm of the rows' purchases over that of the best seller's."""
    most = float(weights.max(initial=0.0))
    return np.log1p(popularity_of(rows, weights)) / np.log1p(most) if most else np.zeros(len(rows))
