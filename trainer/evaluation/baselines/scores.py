"""From scores to lists: the best 12 items of each customer, ties to the item whose id comes first."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.evaluation.baselines.known import Int64, Known
from trainer.evaluation.metrics import AT_MAP

Floats = npt.NDArray[np.floating[Any]]

Block = Callable[[Int64], Floats]
"""Customers' rows ``int64[b]`` -> ``float[b, items]``; -inf where the item is never recommended."""

CUSTOMERS_AT_A_TIME = 64
STRETCH = 256


class Scores(NamedTuple):
    """What ranks items for the list over all of them, and what for the list of new ones."""

    everything: Block
    novel: Block


Baseline = Callable[[Known], Scores]
"""Learns from the past, whatever it takes, and returns the scores of anybody in it."""


def same(block: Block) -> Scores:
    """Rank new items as all others."""
    return Scores(block, block)


def for_all(values: Floats) -> Scores:
    """The same ``float[items]`` for everybody."""
    return same(lambda rows: np.broadcast_to(values, (len(rows), len(values))))


class BothLists(NamedTuple):
    """Recommended items by customer, best first: over all items, and without what the customer bought before."""

    everything: dict[str, list[str]]
    novel: dict[str, list[str]]


def lists(
    known: Known, scores: Scores, customers: Sequence[str], novel_customers: Sequence[str], k: int = AT_MAP
) -> BothLists:
    """Return the best ``k`` items over all of them for ``customers``, the best new ones for ``novel_customers``.

    All must have a past. Who is in both is scored once, where both lists go by the same scores.
    """
    row_of = {customer: row for row, customer in enumerate(known.past.customers)}
    wanted, wanted_novel = set(customers), set(novel_customers)
    asked = sorted(wanted | wanted_novel)
    found = BothLists({}, {})
    for start in range(0, len(asked), CUSTOMERS_AT_A_TIME):
        chunk = asked[start : start + CUSTOMERS_AT_A_TIME]
        rows = np.array([row_of[customer] for customer in chunk], dtype=np.int64)
        values = scores.everything(rows)
        _put(found.everything, known, chunk, values, wanted, k)
        values = np.array(values if scores.novel is scores.everything else scores.novel(rows))
        values[known.bought[rows].nonzero()] = -np.inf
        _put(found.novel, known, chunk, values, wanted_novel, k)
    return found


def best(values: Floats, k: int) -> Int64:
    """Return the places of the ``k`` largest values that are finite, best first, ties by place."""
    # The k-th largest of the maxima of stretches is no larger than the k-th largest value, and cheap to have.
    maxima = np.maximum.reduceat(values, np.arange(0, len(values), STRETCH))
    enough = np.partition(maxima, len(maxima) - k)[len(maxima) - k] if len(maxima) > k else -np.inf
    candidates = np.flatnonzero((values >= enough) & (values > -np.inf))
    order = np.lexsort((candidates, -values[candidates]))
    return candidates[order][:k].astype(np.int64)


def _put(found: dict[str, list[str]], known: Known, chunk: list[str], values: Floats, wanted: set[str], k: int) -> None:
    names = known.past.items
    for customer, each in zip(chunk, values, strict=True):
        if customer in wanted:
            found[customer] = [names[item] for item in best(each, k).tolist()]
