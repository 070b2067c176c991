"""The models in this process, by the operators that Triton runs: for bulk lists, evaluation and tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.bundle import Bundle
from serving.scorer import Nearest, ScorerError
from serving.triton.ranker import Ranker
from serving.triton.retriever import Retriever


class LocalScorer:
    """The operators that Triton runs, in this process, for one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self.version = bundle.version
        self._retriever = Retriever(bundle)
        self._ranker = Ranker(bundle)

    def retrieve(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32], k: int
    ) -> Nearest:
        """See Scorer."""
        self._check(version)
        return lambda: self._retriever(categorical, continuous, k)

    def rank(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """See Scorer."""
        self._check(version)
        return self._ranker(categorical, continuous)

    def _check(self, version: int) -> None:
        if version != self.version:
            raise ScorerError(f"version {version} was asked for, this process holds version {self.version}")
