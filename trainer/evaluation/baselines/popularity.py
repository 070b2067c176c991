"""What everybody buys."""

import numpy as np

from trainer.evaluation.baselines.known import Known
from trainer.evaluation.baselines.scores import Scores, for_all

POPULAR_DAYS = 30


def popular(known: Known) -> Scores:
    """Purchase lines of the last 30 days."""
    return for_all(known.popularity((known.age < POPULAR_DAYS).astype(np.float64)))


def time_weighted(known: Known) -> Scores:
    """Purchase lines, each weighing exp(-age / 14 days)."""
    return for_all(known.trend)
