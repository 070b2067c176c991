"""One score from what texts and what baskets say of two items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SELLS = 0.1
"""What the best seller has before an item that nobody buys, all else equal."""
HALF = 0.05
"""Share of the times at which being taken instead is worth half of what it can be."""


def blended(cosine: NDArray[np.float32], together: Floats, instead: Floats, popularity: Floats, blend: float) -> Floats:
    """The scores of candidates, float64[k].

    Parameters
    ----------
    cosine
        float32[k]: of the texts, 0 where there is none.
    together
        float64[k]: share of the common baskets that chance leaves unexplained; 0 where there is no evidence.
    instead
        float64[k]: share of the times that the other was left in which this one was taken; 0 without evidence.
    popularity
        float64[k]: 0 for what nobody buys to 1 for the best seller.
    blend
        0: texts alone; 1: baskets alone.

    Notes
    -----
    ``(1 - blend) * cosine + blend * (1 - (1 - together) (1 - i / (i + 0.05))) + 0.1 * p``: two sorts of evidence add
    up as independent reasons do, being taken every twentieth time counts half, and among equals what sells comes
    first; ``p`` is the logarithm of the purchases over that of the best seller's.
    """
    baskets = 1.0 - (1.0 - together) * (1.0 - instead / (instead + HALF))
    text = np.maximum(cosine.astype(np.float64), 0.0)
    found: Floats = (1.0 - blend) * text + blend * baskets + SELLS * popularity
    return found
