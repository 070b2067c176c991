"""Windows: a split in the past, what was known at it, and what was bought after it.

Features come from the snapshot at the split alone, labels from the days after it, so that a model meets in training
the situation it will be asked about (thesis 6.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.affinity import ItemAffinities, item_affinities
from feature_repo.catalogue import Catalogue
from feature_repo.customer_features import customer_features
from feature_repo.customer_state import EventType
from feature_repo.histories import Histories, histories_of
from feature_repo.materialise import Columns, customer_columns, item_columns
from feature_repo.point_in_time import Log, Snapshot, snapshots
from feature_repo.purchases import DAY
from feature_repo.sessions import Sessions, sessions
from feature_repo.taste import Taste
from feature_repo.trends import trend_scores
from trainer import taste
from trainer.inputs import Inputs
from trainer.request_contexts import asked

Int64 = NDArray[np.int64]


class Span(NamedTuple):
    """Positives are purchases in `(split_at, until_at]`, microseconds since the epoch."""

    split_at: int
    until_at: int


def plan(first_at: int, until_at: int, days: int, count: int) -> list[Span]:
    """Up to `count` spans of `days` days each, one behind the other, ending at `until_at`; oldest first.

    Before the oldest split lies at least one span's length of history. Where the data is too short for that, the
    spans shorten to a third of it and there are fewer of them.
    """
    length = max(min(days * DAY, (until_at - first_at) // 3), 1)
    fitting = int((until_at - first_at) // length) - 1
    chosen = max(1, min(count, fitting))
    return [Span(until_at - (k + 1) * length, until_at - k * length) for k in reversed(range(chosen))]


class Pairs(NamedTuple):
    """Distinct (customer, item) pairs, sorted: int64[m] rows of the log's customers and of the catalogue."""

    customer: Int64
    item: Int64

    def keys(self, width: int) -> Int64:
        """One integer for each pair; `width` is the size of the catalogue."""
        return self.customer * width + self.item


def bought(log: Log, catalogue: Catalogue, span: Span) -> Pairs:
    """The pairs of a span: who bought what in it."""
    events = log.events
    inside = (events.time > span.split_at) & (events.time <= span.until_at)
    inside &= events.type == EventType.PURCHASE
    rows = catalogue.rows(events.item[inside])
    known = rows >= 0
    return distinct(events.customer[inside][known], rows[known], len(catalogue))


def distinct(customer: Int64, item: Int64, width: int) -> Pairs:
    """The distinct pairs among the given ones, sorted."""
    keys = np.unique(customer * width + item)
    return Pairs(keys // width, keys % width)


@dataclass(frozen=True)
class Window:
    """A span with everything known at its split.

    Attributes
    ----------
    customers
        Columns of all the log's customers, whether they had come yet or not.
    items
        Columns of all catalogue rows.
    requests
        What each customer's request in the span would have told, see `request_contexts.asked`.
    trend
        float64[catalogue], the items' trend scores.
    categories
        int32[catalogue], the items' categories as codes; None in a shop without.
    positives
        What was bought in the span, by customers who had bought before the split.
    """

    span: Span
    snapshot: Snapshot
    customers: Columns
    items: Columns
    requests: Columns
    histories: Histories
    affinities: ItemAffinities
    sessions: Sessions
    trend: NDArray[np.float64]
    categories: NDArray[np.int32] | None
    positives: Pairs

    @property
    def known(self) -> NDArray[np.bool_]:
        """bool[n]: which customers had bought before the split."""
        known: NDArray[np.bool_] = np.diff(self.histories.offsets) > 0
        return known

    @cached_property
    def taste(self) -> Taste:
        """The tables of taste as they were learned at the split."""
        return taste.learned(self.affinities, len(self.trend))


def windows(inputs: Inputs, spans: list[Span]) -> list[Window]:
    """Look back from each split; the spans come oldest first.

    The last span may be empty (its split at the end of the data): then nothing was bought in it yet.
    """
    looks = snapshots(inputs.log, inputs.catalogue, [span.split_at for span in spans])
    return [_window(inputs, span, look) for span, look in zip(spans, looks, strict=True)]


def _window(inputs: Inputs, span: Span, look: Snapshot) -> Window:
    shop, catalogue, ids = inputs.shop, inputs.catalogue, inputs.log.customer_ids
    features = customer_features(shop, look.customers, catalogue)
    histories = histories_of(look.customers)
    positives = bought(inputs.log, catalogue, span)
    known = (np.diff(histories.offsets) > 0)[positives.customer]
    instants = np.full(len(ids), look.at, dtype=np.int64)
    own = sessions(histories, catalogue, instants)
    return Window(
        span=span,
        snapshot=look,
        customers=customer_columns(shop, ids, features, inputs.profile_columns(), own, look.at),
        items=item_columns(shop, look.items, catalogue, look.at),
        requests=asked(inputs, span.split_at, span.until_at),
        histories=histories,
        affinities=item_affinities(histories, catalogue, instants),
        sessions=own,
        trend=trend_scores(look.items, look.at),
        categories=catalogue.attribute(shop.category) if shop.category else None,
        positives=Pairs(positives.customer[known], positives.item[known]),
    )
