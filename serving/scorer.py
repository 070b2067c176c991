"""The seam to whatever runs the models: Triton in the service, its operators in process for bulk and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ScorerError(RuntimeError):
    """The models could not be asked, or refused; the message carries their words."""


Nearest = Callable[[], tuple[NDArray[np.int64], NDArray[np.float32]]]
"""Waits for the nearest items of each customer: bundle rows int64[n, k] (-1: none), scores float32[n, k]."""


class Scorer(Protocol):
    """Retrieval and ranking by one version of the model; raises ScorerError."""

    def retrieve(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32], k: int
    ) -> Nearest:
        """Ask for the `k` nearest items of each customer, and go on with something else until they are needed."""
        ...

    def rank(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The score of each row, float32[n]."""
        ...


@dataclass(frozen=True)
class Widths:
    """Number of categorical and continuous columns of the customer's inputs and of all inputs."""

    query_categorical: int
    query_continuous: int
    categorical: int
    continuous: int
