"""Baselines that need no training: what is popular, and what the customer buys anyway.

Each scores every item for one customer from the past alone. Lists are the best 12; ties go to the item whose id
comes first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.evaluation.metrics import AT_MAP
from trainer.evaluation.protocol import DAY, Purchases

Float64 = npt.NDArray[np.float64]
Scores = Callable[[int], Float64]
"""Customer's row -> ``float64[n_items]``."""

POPULAR_DAYS = 30
TREND_DAYS = 14.0
HABIT_DAYS = 60.0


@dataclass(frozen=True)
class Known:
    """What the baselines look at, with the lines of each customer next to each other.

    Attributes
    ----------
    past
        Purchases sorted by customer.
    starts
        ``int64[n + 1]``: where each customer's lines begin.
    age
        ``float64[m]``: days from each line to the cut.
    """

    past: Purchases
    starts: npt.NDArray[np.int64]
    age: Float64

    @classmethod
    def at(cls, past: Purchases, cut: int) -> "Known":
        """Prepare the past.

        Raises
        ------
        ValueError
            When the past holds a purchase after the cut.
        """
        if len(past) and int(past.time.max()) > cut:
            raise ValueError(
                f"a purchase of {np.datetime64(int(past.time.max()), 'us')} lies after the cut "
                f"{np.datetime64(cut, 'us')}: baselines are given the past only"
            )
        order = np.argsort(past.customer, kind="stable")
        ordered = Purchases(past.customers, past.items, past.customer[order], past.item[order], past.time[order])
        starts = np.searchsorted(ordered.customer, np.arange(len(past.customers) + 1))
        return cls(ordered, starts.astype(np.int64), (cut - ordered.time) / DAY)

    def lines(self, row: int) -> slice:
        """Return a customer's lines."""
        return slice(int(self.starts[row]), int(self.starts[row + 1]))


def popular(known: Known) -> Scores:
    """Purchase lines of the last 30 days."""
    recent = known.past.item[known.age < POPULAR_DAYS]
    counts = np.bincount(recent, minlength=len(known.past.items)).astype(np.float64)
    return lambda row: counts


def time_weighted(known: Known) -> Scores:
    """Purchase lines, each weighing exp(-age / 14 days)."""
    trend = _trend(known)
    return lambda row: trend


def most_bought(known: Known) -> Scores:
    """How often the customer bought it; ties go to what is popular now."""
    tie = 1e-6 * _trend(known) / _trend(known).max()
    return lambda row: _counts(known, row) + tie


def most_bought_decayed(known: Known) -> Scores:
    """How often the customer bought it, each line weighing exp(-age / 60 days), with a little of what is popular."""
    tie = 1e-3 * _trend(known) / _trend(known).max()
    return lambda row: _counts(known, row, np.exp(-known.age[known.lines(row)] / HABIT_DAYS)) + tie


BASELINES: dict[str, Callable[[Known], Scores]] = {
    "most_popular_30d": popular,
    "time_weighted_popularity": time_weighted,
    "most_bought": most_bought,
    "most_bought_decayed_60d": most_bought_decayed,
}


def lists(known: Known, scores: Scores, customers: Sequence[str], novel: bool, k: int = AT_MAP) -> dict[str, list[str]]:
    """Return the best ``k`` items of each customer.

    Parameters
    ----------
    customers
        Whom to recommend to; all must have a past.
    novel
        Leave out what the customer has bought before.
    """
    row_of = {customer: row for row, customer in enumerate(known.past.customers)}
    out = {}
    for customer in customers:
        row = row_of[customer]
        values = scores(row)
        if novel:
            values = values.copy()
            values[known.past.item[known.lines(row)]] = -np.inf
        out[customer] = [known.past.items[item] for item in _best(values, k).tolist()]
    return out


def _trend(known: Known) -> Float64:
    weights = np.bincount(known.past.item, np.exp(-known.age / TREND_DAYS), minlength=len(known.past.items))
    return weights.astype(np.float64)


def _counts(known: Known, row: int, weights: Float64 | None = None) -> Float64:
    counts = np.bincount(known.past.item[known.lines(row)], weights, minlength=len(known.past.items))
    return counts.astype(np.float64)


def _best(values: Float64, k: int) -> npt.NDArray[np.int64]:
    """Return the places of the ``k`` largest values that are finite, best first, ties by place."""
    if len(values) > k:
        worst = np.partition(values, len(values) - k)[len(values) - k]
        candidates = np.flatnonzero((values >= worst) & (values > -np.inf))
    else:
        candidates = np.flatnonzero(values > -np.inf)
    order = np.lexsort((candidates, -values[candidates]))
    return candidates[order][:k].astype(np.int64)
