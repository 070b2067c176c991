"""The models in this process, some thousand rows at a time: a batch of customers has more than fits the caches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.local_scorer import LocalScorer

ROWS = 4_000
"""Rows scored at once; with more the memory for what lies between the layers grows, and nothing becomes faster."""


class BulkScorer(LocalScorer):
    """A `LocalScorer` that ranks in steps of `ROWS`."""

    def rank(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """See Scorer."""
        starts = range(0, max(len(categorical), 1), ROWS)
        parts = [
            super(BulkScorer, self).rank(version, categorical[a : a + ROWS], continuous[a : a + ROWS]) for a in starts
        ]
        return np.concatenate(parts)
