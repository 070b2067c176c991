"""One score from what texts and what baskets say of two items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SELLS = 0.05
"""What a very popular item has before one that nobody buys, all else equal."""


def blended(cosine: NDArray[np.float32], together: Floats, instead: Floats, popularity: Floats, blend: float) -> Floats:
    """The scores of candidates, float64[k].

    Parameters
    ----------
    cosine
        float32[k]: of the texts, 0 where there is none.
    together, instead
        float64[k]: strength of both kinds of neighbours, 0 to 1; 0 where there is no evidence.
    popularity
        float64[k]: time-weighted purchases.
    blend
        0: texts alone; 1: baskets alone.

    Notes
    -----
    ``(1 - blend) * cosine + blend * (1 - (1 - together) (1 - instead)) + 0.05 * p / (1 + p)``: two sorts of evidence
    add up as independent reasons do, and what sells comes first among equals.
    """
    baskets = 1.0 - (1.0 - together) * (1.0 - instead)
    text = np.maximum(cosine.astype(np.float64), 0.0)
    found: Floats = (1.0 - blend) * text + blend * baskets + SELLS * popularity / (1.0 + popularity)
    return found
