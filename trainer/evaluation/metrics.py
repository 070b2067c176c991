"""Ranking metrics of protocol A: each for every customer, so that a surprise can be traced, then their mean."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.evaluation.protocol import Truth

Float64 = npt.NDArray[np.float64]
Hits = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]

AT = 10
AT_MAP = 12
TOP = 100

Lists = Mapping[str, Sequence[str]]
"""Recommended items by customer, best first."""


@dataclass(frozen=True)
class Interval:
    """A mean over customers and the bounds between which it lies with the given confidence."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """What became of the lists.

    Attributes
    ----------
    customers
        The ``n`` customers of the truth, sorted.
    hits
        ``bool[n, 12]``: whether the item at each place was bought; false where a list is shorter.
    relevant
        ``int64[n]``: items the customer bought.
    """

    customers: list[str]
    hits: Hits
    relevant: Int64

    def metrics(self) -> dict[str, Float64]:
        """Return each metric for each customer, ``float64[n]``."""
        return {name: metric(self.hits, self.relevant) for name, metric in METRICS.items()}


def judge(lists: Lists, truth: Truth) -> Judged:
    """Look up each customer's list in the truth; a customer without a list has missed everything.

    Raises
    ------
    ValueError
        When a list names an item twice.
    """
    customers = sorted(truth)
    hits = np.zeros((len(customers), AT_MAP), dtype=bool)
    for row, customer in enumerate(customers):
        items = list(lists.get(customer, ()))[:AT_MAP]
        if len(set(items)) != len(items):
            raise ValueError(f"the list of customer {customer!r} names an item twice: {items}")
        hits[row, : len(items)] = [item in truth[customer] for item in items]
    return Judged(customers, hits, np.array([len(truth[customer]) for customer in customers], dtype=np.int64))


def ndcg(hits: Hits, relevant: Int64, k: int = AT) -> Float64:
    """Binary nDCG: discount 1 / log2(place + 1), ideal with the first min(k, relevant) places hit."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(k, relevant) - 1]
    out: Float64 = hits[:, :k] @ discount[: hits.shape[1]] / ideal
    return out


def average_precision(hits: Hits, relevant: Int64, k: int = AT_MAP) -> Float64:
    """Mean of the precision at each hit, over min(k, relevant)."""
    top = hits[:, :k]
    precision = np.asarray(np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1), dtype=np.float64)
    return np.asarray((precision * top).sum(axis=1) / np.minimum(k, relevant), dtype=np.float64)


def recall(hits: Hits, relevant: Int64, k: int = AT) -> Float64:
    """Share of the items bought that are among the first k, over min(k, relevant)."""
    out: Float64 = hits[:, :k].sum(axis=1) / np.minimum(k, relevant)
    return out


def hit(hits: Hits, relevant: Int64, k: int = AT) -> Float64:
    """1 where any of the first k was bought."""
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


METRICS: dict[str, Callable[[Hits, Int64], Float64]] = {
    "ndcg_at_10": ndcg,
    "map_at_12": average_precision,
    "recall_at_10": recall,
    "hit_at_10": hit,
}


def diversity(lists: Lists, customers: Sequence[str], category: Mapping[str, str], k: int = AT) -> Float64:
    """Intra-list diversity for each customer: the share of pairs among the first k whose categories differ.

    An item without a category has one of its own; a list of fewer than two items has no diversity.

    Returns
    -------
    ``float64[n]``, between 0 and 1.
    """
    out = np.zeros(len(customers))
    for row, customer in enumerate(customers):
        items = list(lists.get(customer, ()))[:k]
        sizes = np.array(list(Counter(category.get(item, f"\0{item}") for item in items).values()))
        if len(items) > 1:
            out[row] = 1 - (sizes * (sizes - 1)).sum() / (len(items) * (len(items) - 1))
    return out


def popularity_bias(
    lists: Lists, customers: Sequence[str], by_popularity: Sequence[str], k: int = AT, top: int = TOP
) -> tuple[Float64, Float64]:
    """How much each customer's first k are what everybody buys.

    Parameters
    ----------
    by_popularity
        All items, the most popular first.

    Returns
    -------
    ``float64[n]``, the share of the list that is among the ``top``, and ``float64[n]``, the mean of log10 of the
    items' places by popularity, counted from 1. An item not among them (nobody has bought it yet) takes the last
    place, and so does an empty list, with a share of 0.
    """
    log_place = dict(zip(by_popularity, np.log10(np.arange(1, len(by_popularity) + 1)).tolist(), strict=True))
    last = float(np.log10(max(len(by_popularity), 1)))
    share, mean = np.zeros(len(customers)), np.full(len(customers), last)
    for row, customer in enumerate(customers):
        places = np.array([log_place.get(item, last) for item in list(lists.get(customer, ()))[:k]])
        if len(places):
            share[row], mean[row] = np.mean(places <= np.log10(top)), places.mean()
    return share, mean


def coverage(lists: Lists, n_items: int, k: int = AT) -> float:
    """Share of the items that could be recommended which stand among the first k of any list."""
    return len({item for items in lists.values() for item in list(items)[:k]}) / max(n_items, 1)


def coverage_interval(lists: Lists, n_items: int, k: int = AT, seed: int = 0, resamples: int = 200) -> Interval:
    """Return `coverage` and an interval around it, as wide as the spread of the bootstrap over customers.

    The bootstrap's own percentiles all lie below: customers drawn twice show nothing new.
    """
    names: dict[str, int] = {}
    table = np.full((len(lists), k), -1, dtype=np.int64)
    for row, items in enumerate(lists.values()):
        codes = [names.setdefault(item, len(names)) for item in list(items)[:k]]
        table[row, : len(codes)] = codes
    shares = []
    for chosen in _resamples(len(table), seed, resamples):
        found = np.bincount(table[chosen].ravel() + 1, minlength=len(names) + 1)[1:]
        shares.append(int(np.count_nonzero(found)) / max(n_items, 1))
    at, middle, (low, high) = coverage(lists, n_items, k), sum(shares) / len(shares), _bounds(shares)
    return Interval(at, at - max(middle - low, 0.0), at + max(high - middle, 0.0))


def bootstrap(values: Float64, seed: int = 0, resamples: int = 1000) -> Interval:
    """Return the mean of ``values: float64[n]`` and its 95% percentile bootstrap interval over customers.

    With the same seed and number of customers the same customers are drawn, and for the difference of two lists'
    metrics on the same customers (a paired comparison) it is enough to pass the differences.
    """
    means = [float(values[chosen].mean()) for chosen in _resamples(len(values), seed, resamples)]
    return Interval(float(values.mean()), *_bounds(means))


def _resamples(n: int, seed: int, resamples: int) -> Iterator[Int64]:
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield rng.integers(0, n, n)


def _bounds(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
