"""What the customer buys anyway."""

from scipy.sparse import csr_matrix

from trainer.evaluation.baselines.known import Known
from trainer.evaluation.baselines.scores import Scores, same

HABIT_DAYS = 60.0


def most_bought(known: Known) -> Scores:
    """How often the customer bought it; ties go to what is popular now."""
    return _with_trend(known, known.matrix(), 1e-6)


def most_bought_decayed(known: Known) -> Scores:
    """How often the customer bought it, each line weighing exp(-age / 60 days), with a little of what is popular."""
    return _with_trend(known, known.decayed(HABIT_DAYS), 1e-3)


def _with_trend(known: Known, counts: csr_matrix, share: float) -> Scores:
    tie = share * known.trend / known.trend.max()
    return same(lambda rows: counts[rows].toarray() + tie)
