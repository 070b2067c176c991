"""What the recommender is asked, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.candidates import Rows
from streams.contracts.requests import FallbackReason


@dataclass(frozen=True)
class Query:
    """A request as understood.

    `as_of` in microseconds since the epoch, `deadline` by the recommender's clock. `live` queries are for now, whenever
    that is: just after midnight they may see the trending items of the day before, and every five minutes for a moment
    the trend scores of those before. A `context` says that it is asked here and at this time of day; a list made ahead
    has none (see `feature_repo.request_context`).
    """

    customer_id: str
    as_of: int
    n: int = 10
    exclude_items: Sequence[str] = ()
    exclude_purchased: bool = False
    categories: Sequence[str] = ()
    explain: bool = False
    diversity: float = 0.0
    novelty: float = 0.0
    deadline: float = math.inf
    live: bool = False
    context: Mapping[str, str] = field(default_factory=dict)


class Scored(NamedTuple):
    """Inputs of the ranker as they were scored, int32[n, C] and float32[n, F], in the order of the answer."""

    categorical: NDArray[np.int32]
    continuous: NDArray[np.float32]


@dataclass(frozen=True)
class Recommendation:
    """An answer: best first.

    Attributes
    ----------
    rows, scores, sources
        int64[n] catalogue rows, float32[n], uint8[n] masks of `candidates.Source`.
    version
        The model that ranked it, None for a fallback.
    reason
        Why it is a fallback, None where it is not.
    features
        What the ranker saw, None for a fallback.
    explanations
        Pair columns of each item before encoding, where asked for.
    """

    rows: Rows
    scores: NDArray[np.floating[Any]]
    sources: NDArray[np.uint8]
    version: int | None = None
    reason: FallbackReason | None = None
    features: Scored | None = None
    explanations: list[dict[str, float]] | None = None
