"""One score from what texts, baskets and sales say of an item beside another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.similar.evidence import Evidence

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Taste:
    """What the sorts of evidence are worth beside each other; chosen on days before those of docs/similar.md.

    Attributes
    ----------
    half
        Share of the times at which being taken instead is worth half of what it can be.
    sells
        What the best seller has before an item that nobody buys, all else equal.
    """

    half: float = 0.2
    sells: float = 0.1


TASTE = Taste()


def blended(found: Evidence, blend: float, taste: Taste = TASTE) -> Floats:
    """The scores of candidates, float64[k].

    Parameters
    ----------
    blend
        0: texts alone; 1: baskets alone.

    Notes
    -----
    ``(1 - blend) * cosine + blend * (1 - (1 - together) (1 - i / (i + half))) + sells * p``: two sorts of evidence add
    up as independent reasons do, and among equals what sells comes first.
    """
    baskets = 1.0 - (1.0 - found.together) * (1.0 - found.instead / (found.instead + taste.half))
    text = np.maximum(np.nan_to_num(found.cosine.astype(np.float64)), 0.0)
    scores: Floats = (1.0 - blend) * text + blend * baskets + taste.sells * found.popularity
    return scores


def best(found: Evidence, scores: Floats, n: int) -> NDArray[np.int64]:
    """int64[n]: places in the evidence of the `n` best, best first; fewer where there are fewer."""
    return np.lexsort((found.rows, -scores))[:n]
