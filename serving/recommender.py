"""Recommending: the one implementation, for the Kafka consumer, the gateway, bulk lists and evaluation alike.

Takes a batch of queries, the rows of their customers, one model and the items; asks the model twice (retrieve, rank);
knows neither Kafka nor Redis nor the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.affinity import ItemAffinities, item_affinities
from feature_repo.materialise import Personal, customer_columns, pair_columns
from feature_repo.ragged import Int64, lengths_to_offsets
from feature_repo.sessions import sessions
from feature_repo.trends import slot_of
from serving.candidates import LIMITS, Candidates, Limits, Rows, Source, alternating, merge
from serving.customers import Customers
from serving.diversity import POOL, diverse, similarities
from serving.filters import Filter, build
from serving.hot_items import Hot
from serving.item_matrix import day_of
from serving.items_table import ItemsTable
from serving.ranking import top
from serving.recommendation import Query, Recommendation, Scored
from serving.scorer import Scorer, ScorerError
from serving.session_items import session_items
from serving.snapshot import Snapshot
from serving.stopwatch import Stopwatch
from serving.trending import Trending
from streams.contracts.requests import FallbackReason

DEEP = 1000
"""Items asked of the two-tower where filters will take some of them away."""


@dataclass
class _Batch:
    """The personal part of a batch, gathered stage by stage.

    `everybody`, `ready` and `asked_at` are of all queries of the batch; `places` says where the personal ones are.
    """

    queries: list[Query]
    everybody: Customers
    ready: Personal
    asked_at: Int64
    places: Int64
    filters: list[Filter]
    model: Snapshot
    query: Scored | None = None
    retrieved: list[Rows] = field(default_factory=list)
    candidates: list[Candidates] = field(default_factory=list)


class Recommender:
    """Answers batches of queries.

    Parameters
    ----------
    items
        All items in process.
    scorer
        Runs the models.
    clock
        Seconds on the clock that queries' deadlines are by.
    """

    def __init__(self, items: ItemsTable, scorer: Scorer, clock: Callable[[], float], limits: Limits = LIMITS) -> None:
        self._items = items
        self._scorer = scorer
        self._clock = clock
        self._limits = limits

    def recommend(
        self, queries: Sequence[Query], customers: Customers, model: Snapshot | None, watch: Stopwatch | None = None
    ) -> list[Recommendation]:
        """An answer to every query, in order; `customers` holds a row for each, in the same order.

        A query that the model cannot answer gets the trending items, with the reason. `watch` is told the seconds
        of each stage. Raises FilterError for categories where the shop has none; see `filters.build`.
        """
        watch = watch or Stopwatch()
        with watch.stage("features"):
            as_of = np.array([query.as_of for query in queries], np.int64)
            ready = Personal(
                item_affinities(customers.histories, self._items.catalogue, as_of),
                sessions(customers.histories, self._items.catalogue, as_of),
            )
            filters = [self._filter(query, _of(ready.affinities, place)) for place, query in enumerate(queries)]
        reasons = [self._impersonal(query, customers, place, model) for place, query in enumerate(queries)]
        personal = np.array([place for place, reason in enumerate(reasons) if reason is None], np.int64)
        answers: dict[int, Recommendation] = {}
        if model is not None and len(personal):
            batch = _Batch(
                queries=[queries[place] for place in personal],
                everybody=customers,
                ready=ready,
                asked_at=as_of,
                places=personal,
                filters=[filters[place] for place in personal],
                model=model,
            )
            with suppress(ScorerError):
                answers = dict(zip(personal.tolist(), self._personal(batch, watch), strict=True))
        with watch.stage("candidates"):
            return [
                answers.get(place) or self._fallback(query, filters[place], reasons[place])
                for place, query in enumerate(queries)
            ]

    def _impersonal(
        self, query: Query, customers: Customers, place: int, model: Snapshot | None
    ) -> FallbackReason | None:
        if self._clock() > query.deadline:
            return FallbackReason.DEADLINE
        if not customers.complete[place]:
            known = customers.present[place]
            return FallbackReason.MISSING_FEATURES if known else FallbackReason.UNKNOWN_CUSTOMER
        return FallbackReason.MODEL_UNAVAILABLE if model is None else None

    def _filter(self, query: Query, purchased: Rows) -> Filter:
        return build(
            self._items.catalogue,
            self._items.shop.category,
            query.exclude_items,
            query.categories,
            purchased if query.exclude_purchased else None,
        )

    def _fallback(self, query: Query, filter_: Filter, reason: FallbackReason | None) -> Recommendation:
        catalogue, n = self._items.catalogue, self._pool(query)
        rows, sources = alternating(
            filter_.first(self._hot(query).order, catalogue, n),
            filter_.first(self._trending(query).order, catalogue, n),
            n,
        )
        if reason is None:
            late = self._clock() > query.deadline
            reason = FallbackReason.DEADLINE if late else FallbackReason.MODEL_UNAVAILABLE
        scores = 1.0 / (1.0 + np.arange(len(rows)))
        best = self._spread(query, rows, scores, None)
        return Recommendation(rows[best], scores[best], sources[best], reason=reason)

    def _pool(self, query: Query) -> int:
        """How many of the best to choose from."""
        return query.n * POOL if query.diversity else query.n

    def _spread(self, query: Query, rows: Rows, scores: NDArray[np.floating[Any]], model: Snapshot | None) -> Rows:
        """Places of the answer among the best, int64: the first ones, or of different kinds where that is asked for."""
        if not query.diversity:
            return np.arange(len(rows))
        categories = self._categories()
        similarity = similarities(
            None if categories is None else categories[rows], model.vectors(rows) if model else None, len(rows)
        )
        return diverse(scores, similarity, query.n, query.diversity)

    def _trending(self, query: Query) -> Trending:
        return self._items.trending(day_of(query.as_of), exact=not query.live)

    def _hot(self, query: Query) -> Hot:
        return self._items.hot(slot_of(query.as_of), exact=not query.live)

    def _personal(self, batch: _Batch, watch: Stopwatch) -> list[Recommendation]:
        """Retrieve, merge and rank; raises ScorerError."""
        with watch.stage("features"):
            batch.query = self._encode_customers(batch)
        with watch.stage("retrieve"):
            batch.retrieved = self._retrieve(batch, batch.query)
        with watch.stage("candidates"):
            batch.candidates = [
                self._candidates(batch, place, original) for place, original in enumerate(batch.places.tolist())
            ]
            offsets = lengths_to_offsets(np.array([len(c.rows) for c in batch.candidates], np.int64))
            pairs = self._pairs(batch, offsets)
            inputs = self._inputs(batch, batch.query, pairs, offsets)
        with watch.stage("score"):
            scores = self._scorer.rank(batch.model.version, *inputs) if offsets[-1] else np.zeros(0, np.float32)
            return [self._answer(batch, place, scores, inputs, pairs, offsets) for place in range(len(batch.queries))]

    def _encode_customers(self, batch: _Batch) -> Scored:
        c = batch.everybody
        columns = customer_columns(self._items.shop, c.ids, c.features, c.profile, batch.ready.sessions, batch.asked_at)
        own = {name: values[batch.places] for name, values in columns.items()}
        return Scored(*batch.model.encoder.encode(own, "customer"))

    def _retrieve(self, batch: _Batch, query: Scored) -> list[Rows]:
        narrow = any(query.exclude_purchased or query.categories for query in batch.queries)
        k = DEEP if narrow else self._limits.two_tower
        rows, _ = self._scorer.retrieve(batch.model.version, query.categorical, query.continuous, k)
        return [batch.model.item_rows[found[found >= 0]] for found in rows]

    def _candidates(self, batch: _Batch, place: int, original: int) -> Candidates:
        query, filter_, catalogue = batch.queries[place], batch.filters[place], self._items.catalogue
        a, limits, trending = batch.ready.affinities, self._limits, self._trending(query)
        ranked = _of(a, original)[np.argsort(a.rank[a.offsets[original] : a.offsets[original + 1]])]
        session = session_items(batch.ready.sessions, original, trending, self._categories(), limits.session)
        proposals = {
            Source.HISTORY: filter_.first(ranked, catalogue, limits.history),
            Source.TWO_TOWER: filter_.first(batch.retrieved[place], catalogue, limits.two_tower),
            Source.TRENDING: filter_.first(trending.order, catalogue, limits.trending),
            Source.SESSION: filter_.first(session, catalogue, limits.session),
            Source.HOT: filter_.first(self._hot(query).order, catalogue, limits.hot),
        }
        return merge(proposals, limits)

    def _pairs(self, batch: _Batch, offsets: Int64) -> dict[str, NDArray[Any]]:
        """The pair columns of all candidates; the impersonal queries of the batch have none."""
        rows = np.concatenate([c.rows for c in batch.candidates])
        trending = np.concatenate(
            [self._hot(query).of(c.rows) for query, c in zip(batch.queries, batch.candidates, strict=True)]
        )
        counts = np.zeros(len(batch.asked_at), np.int64)
        counts[batch.places] = np.diff(offsets)
        return pair_columns(
            self._items.shop, batch.everybody.histories, rows, lengths_to_offsets(counts), self._items.catalogue,
            trending, batch.asked_at, batch.ready,
        )  # fmt: skip

    def _categories(self) -> NDArray[np.int32] | None:
        category = self._items.shop.category
        return self._items.catalogue.attribute(category) if category else None

    def _inputs(self, batch: _Batch, query: Scored, pairs: dict[str, NDArray[Any]], offsets: Int64) -> Scored:
        """The ranker's inputs of all candidates: customer, item and pair columns side by side."""
        pair = Scored(*batch.model.encoder.encode(pairs, "pair"))
        categorical: list[NDArray[np.int32]] = []
        continuous: list[NDArray[np.float32]] = []
        for place, candidates in enumerate(batch.candidates):
            codes, numbers = batch.model.matrix.gather(day_of(batch.queries[place].as_of), candidates.rows)
            categorical.append(_beside(query.categorical[place], codes))
            continuous.append(_beside(query.continuous[place], numbers))
        return Scored(
            np.concatenate([np.concatenate(categorical), pair.categorical], axis=1),
            np.concatenate([np.concatenate(continuous), pair.continuous], axis=1),
        )

    def _answer(
        self,
        batch: _Batch,
        place: int,
        scores: NDArray[np.float32],
        inputs: Scored,
        pairs: dict[str, NDArray[Any]],
        offsets: Int64,
    ) -> Recommendation:
        query, candidates = batch.queries[place], batch.candidates[place]
        start = int(offsets[place])
        own = scores[start : int(offsets[place + 1])]
        pool = top(own, self._items.catalogue.keys[candidates.rows], self._pool(query))
        best = pool[self._spread(query, candidates.rows[pool], own[pool], batch.model)]
        chosen = start + best
        explanations = None
        if query.explain:
            explanations = [{name: float(values[row]) for name, values in pairs.items()} for row in chosen.tolist()]
        return Recommendation(
            candidates.rows[best],
            own[best],
            candidates.sources[best],
            version=batch.model.version,
            features=Scored(inputs.categorical[chosen], inputs.continuous[chosen]),
            explanations=explanations,
        )


def _of(affinities: ItemAffinities, place: int) -> Rows:
    """Catalogue rows of the items that a customer holds."""
    rows: Rows = affinities.row[affinities.offsets[place] : affinities.offsets[place + 1]]
    return rows


def _beside(customer: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
    """One customer's columns repeated beside its candidates' item columns."""
    return np.concatenate([np.broadcast_to(customer, (len(items), len(customer))), items], axis=1)
