"""The table of protocol A: the served lists beside every baseline, with intervals and paired differences."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.evaluation import baselines
from trainer.evaluation.metrics import Interval, Lists, bootstrap, coverage_interval, diversity, judge, popularity_bias
from trainer.evaluation.protocol import DAY, Split

Float64 = npt.NDArray[np.float64]

POPULAR_DAYS = 30


class Contender(NamedTuple):
    """Both lists of each customer: over all items, and without what the customer bought before."""

    everything: Lists
    novel: Lists


class Scored(NamedTuple):
    """A contender's metrics with their intervals, and the metrics for each customer behind them."""

    intervals: dict[str, Interval]
    values: dict[str, Float64]


def baseline_lists(
    split: Split, names: Iterable[str] | None = None, told: Callable[[str, float], None] | None = None
) -> dict[str, Contender]:
    """Return the lists of each baseline, made from the past alone.

    Parameters
    ----------
    names
        Which of `baselines.BASELINES`, in this order; default: all. `baselines.QUICK` names the fast ones.
    told
        Called with each baseline's name and the seconds it took, as soon as its lists are made.

    Raises
    ------
    ValueError
        When there is no baseline of a name.
    """
    chosen = list(baselines.BASELINES) if names is None else list(names)
    unknown = [name for name in chosen if name not in baselines.BASELINES]
    if unknown:
        raise ValueError(f"there is no baseline {unknown[0]!r}; choose among {', '.join(baselines.BASELINES)}")
    known = baselines.Known.at(split.past, split.cut)
    customers, novel_customers = list(split.truth), list(split.novel_truth)
    out = {}
    for name in chosen:
        began = perf_counter()
        scores = baselines.BASELINES[name](known)
        out[name] = Contender(*baselines.lists(known, scores, customers, novel_customers))
        if told is not None:
            told(name, perf_counter() - began)
    return out


def score(contender: Contender, split: Split, seed: int = 0, category: Mapping[str, str] | None = None) -> Scored:
    """Judge a contender.

    ``ndcg_at_10``, ``map_at_12``, ``recall_at_10``, ``hit_at_10`` and ``coverage_at_10`` over all items, and how much
    the lists are what everybody buys: ``popular_share_at_10`` (among the 100 most bought in the last 30 days) and
    ``log_popularity_place_at_10``. With the items' categories also ``diversity_at_10``. The same with ``novel_``
    before them over novel items.
    """
    intervals: dict[str, Interval] = {}
    values: dict[str, Float64] = {}
    by_popularity = _by_popularity(split)
    sides = (("", contender.everything, split.truth), ("novel_", contender.novel, split.novel_truth))
    for prefix, lists, truth in sides:
        if not truth:
            continue
        judged = judge(lists, truth)
        share, place = popularity_bias(lists, judged.customers, by_popularity)
        found = judged.metrics() | {"popular_share_at_10": share, "log_popularity_place_at_10": place}
        if category is not None:
            found["diversity_at_10"] = diversity(lists, judged.customers, category)
        for name, each in found.items():
            values[prefix + name] = each
            intervals[prefix + name] = bootstrap(each, seed)
        asked = {customer: lists.get(customer, ()) for customer in truth}
        intervals[f"{prefix}coverage_at_10"] = coverage_interval(asked, len(split.past.items), seed=seed)
    return Scored(intervals, values)


def _by_popularity(split: Split) -> list[str]:
    recent = split.past.item[split.past.time > split.cut - POPULAR_DAYS * DAY]
    lines = np.bincount(recent, minlength=len(split.past.items))
    return [split.past.items[item] for item in np.argsort(-lines, kind="stable").tolist()]


def differences(one: Scored, other: Scored, seed: int = 0) -> dict[str, Interval]:
    """Return by how much one contender is above another on the same customers, metric by metric."""
    return {name: bootstrap(values - other.values[name], seed) for name, values in one.values.items()}


def report(split: Split, served: Scored, others: Mapping[str, Scored], seed: int = 0) -> dict[str, Any]:
    """Return what `ranking.json` holds: figures as numbers, each with its 95% interval beside it."""
    return {
        "protocol": "A",
        "cut": str(np.datetime64(split.cut, "us")) + "Z",
        "customers": len(split.truth),
        "novel_customers": len(split.novel_truth),
        "items": len(split.past.items),
        "seed": seed,
        "served": _plain(served.intervals),
        "baselines": {name: _plain(scored.intervals) for name, scored in others.items()},
        "served_minus": {
            name: {metric: asdict(interval) for metric, interval in differences(served, scored, seed).items()}
            for name, scored in others.items()
        },
    }


def _plain(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, interval in intervals.items():
        out[name] = interval.mean
        out[f"{name}_interval"] = [interval.low, interval.high]
    return out
