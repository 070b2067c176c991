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
from feature_repo.ragged import Int64, lengths_to_offsets, owners
from feature_repo.request_context import request_columns
from feature_repo.sessions import Sessions, sessions
from feature_repo.trends import slot_of
from serving.candidates import LIMITS, SCORED, Candidates, Limits, Rows, Source, alternating, merge
from serving.customers import Customers
from serving.diversity import POOL, diverse, similarities
from serving.filters import Filter, build
from serving.hot_items import Hot
from serving.item_matrix import day_of
from serving.items_table import ItemsTable
from serving.novelty import reserved, with_novel
from serving.ranking import top
from serving.recommendation import Query, Recommendation, Scored
from serving.scorer import Nearest, Scorer, ScorerError
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
    `nearest` waits for what the two-tower was asked for with the customers' inputs, `query`; `request` holds the inputs
    that the queries' contexts make; `tastes` is where all customers stand (`Taste.customers`).
    """

    queries: list[Query]
    everybody: Customers
    ready: Personal
    asked_at: Int64
    places: Int64
    filters: list[Filter]
    model: Snapshot
    query: Scored
    nearest: Nearest
    tastes: NDArray[np.float32]
    request: Scored
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
    limits
        Of the sources, and of what is scored at most.
    scored
        Candidates scored for a list, unless it is so long that it takes more.
    """

    def __init__(
        self,
        items: ItemsTable,
        scorer: Scorer,
        clock: Callable[[], float],
        limits: Limits = LIMITS,
        scored: int = SCORED,
    ) -> None:
        self._items = items
        self._scorer = scorer
        self._clock = clock
        self._limits = limits
        self._scored = scored

    def recommend(
        self, queries: Sequence[Query], customers: Customers, model: Snapshot | None, watch: Stopwatch | None = None
    ) -> list[Recommendation]:
        """An answer to every query, in order; `customers` holds a row for each, in the same order.

        A query that the model cannot answer gets the trending items, with the reason. `watch` is told the seconds
        of each stage. Raises FilterError for categories where the shop has none; see `filters.build`.
        """
        watch = watch or Stopwatch()
        as_of = np.array([query.as_of for query in queries], np.int64)
        own_sessions = sessions(customers.histories, self._items.catalogue, as_of)
        reasons = [self._impersonal(query, customers, place, model) for place, query in enumerate(queries)]
        personal = np.array([place for place, reason in enumerate(reasons) if reason is None], np.int64)
        own = [queries[place] for place in personal]
        asked = self._ask(own, personal, customers, own_sessions, as_of, model) if model and own else None
        # The two-tower is at work from here on, and what does not depend on it is computed meanwhile.
        ready = Personal(item_affinities(customers.histories, self._items.catalogue, as_of), own_sessions)
        filters = [self._filter(query, _of(ready.affinities, place)) for place, query in enumerate(queries)]
        watch.lap("features")
        answers: dict[int, Recommendation] = {}
        if model is not None and asked is not None:
            batch = _Batch(
                queries=own,
                everybody=customers,
                ready=ready,
                asked_at=as_of,
                places=personal,
                filters=[filters[place] for place in personal],
                model=model,
                query=asked[0],
                nearest=asked[1],
                tastes=model.taste.customers(ready.affinities),
                request=self._requests(own, as_of[personal], model),
            )
            with suppress(ScorerError):
                answers = dict(zip(personal.tolist(), self._personal(batch, watch), strict=True))
        found = [
            answers.get(place) or self._fallback(query, filters[place], _of(ready.affinities, place), reasons[place])
            for place, query in enumerate(queries)
        ]
        watch.lap("candidates")
        return found

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

    def _fallback(
        self, query: Query, filter_: Filter, purchased: Rows, reason: FallbackReason | None
    ) -> Recommendation:
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
        best = self._spread(query, rows, scores, purchased, None)
        return Recommendation(rows[best], scores[best], sources[best], reason=reason)

    def _pool(self, query: Query) -> int:
        """How many of the best to choose from."""
        return query.n * POOL if query.diversity or query.novelty else query.n

    def _best(self, query: Query, scores: NDArray[np.float32], rows: Rows, purchased: Rows) -> Rows:
        """Places of those to choose from, best first, with as many new ones among them as are asked for."""
        keys, pool = self._items.catalogue.keys[rows], self._pool(query)
        if not query.novelty:
            return top(scores, keys, pool)
        order = top(scores, keys, len(scores))
        novel = ~np.isin(rows[order], purchased)
        return order[with_novel(novel, pool, reserved(query.n, query.novelty))]

    def _spread(
        self,
        query: Query,
        rows: Rows,
        scores: NDArray[np.floating[Any]],
        purchased: Rows,
        model: Snapshot | None,
    ) -> Rows:
        """Places of the answer among the best, int64: the first ones, of different kinds or new where that is asked."""
        order = np.arange(len(rows))
        if query.diversity:
            categories = self._categories()
            similarity = similarities(
                None if categories is None else categories[rows], model.vectors(rows) if model else None, len(rows)
            )
            order = diverse(scores, similarity, len(rows) if query.novelty else query.n, query.diversity)
        if query.novelty:
            novel = ~np.isin(rows[order], purchased)
            order = order[with_novel(novel, query.n, reserved(query.n, query.novelty))]
        return order[: query.n]

    def _trending(self, query: Query) -> Trending:
        return self._items.trending(day_of(query.as_of), exact=not query.live)

    def _hot(self, query: Query) -> Hot:
        return self._items.hot(slot_of(query.as_of), exact=not query.live)

    def _ask(
        self,
        queries: Sequence[Query],
        places: Int64,
        everybody: Customers,
        own_sessions: Sessions,
        as_of: Int64,
        model: Snapshot,
    ) -> tuple[Scored, Nearest] | None:
        """Encode the customers and ask the two-tower for items; None where it cannot be asked."""
        c = everybody
        columns = customer_columns(self._items.shop, c.ids, c.features, c.profile, own_sessions, as_of)
        everyone = len(places) == len(c.ids)
        own = columns if everyone else {name: values[places] for name, values in columns.items()}
        query = Scored(*model.encoder.encode(own, "customer"))
        k = DEEP if _narrow(queries) else self._limits.two_tower
        try:
            return query, self._scorer.retrieve(model.version, query.categorical, query.continuous, k)
        except ScorerError:
            return None

    def _requests(self, queries: Sequence[Query], as_of: Int64, model: Snapshot) -> Scored:
        """The inputs of each query's context, encoded."""
        contexts = [query.context for query in queries]
        if not any(contexts):
            codes, numbers = model.untold
            return Scored(codes.repeat(len(queries), axis=0), numbers.repeat(len(queries), axis=0))
        return Scored(*model.encoder.encode(request_columns(self._items.shop, contexts, as_of), "request"))

    def _personal(self, batch: _Batch, watch: Stopwatch) -> list[Recommendation]:
        """Merge and rank; raises ScorerError."""
        k = DEEP if _narrow(batch.queries) else self._limits.taste
        liked = batch.model.taste.nearest(batch.tastes, batch.ready.affinities, k, batch.places)
        proposals = [
            self._proposals(batch, place, original, liked[place])
            for place, original in enumerate(batch.places.tolist())
        ]
        watch.lap("candidates")
        retrieved, _ = batch.nearest()
        watch.lap("retrieve")
        for query, filter_, others, found in zip(batch.queries, batch.filters, proposals, retrieved, strict=True):
            rows = batch.model.item_rows[found[found >= 0]]
            others[Source.TWO_TOWER] = filter_.first(rows, self._items.catalogue, self._limits.two_tower)
            batch.candidates.append(merge(others, self._limits.scored(query.n, self._scored)))
        offsets = lengths_to_offsets(np.array([len(c.rows) for c in batch.candidates], np.int64))
        pairs = self._pairs(batch, offsets)
        inputs = self._inputs(batch, pairs, offsets)
        watch.lap("candidates")
        scores = self._scorer.rank(batch.model.version, *inputs) if offsets[-1] else np.zeros(0, np.float32)
        answers = [self._answer(batch, place, scores, inputs, pairs, offsets) for place in range(len(batch.queries))]
        watch.lap("score")
        return answers

    def _proposals(self, batch: _Batch, place: int, original: int, liked: Rows) -> dict[Source, Rows]:
        """What every source but the two-tower proposes for a query, best first."""
        query, filter_, catalogue = batch.queries[place], batch.filters[place], self._items.catalogue
        a, limits, trending = batch.ready.affinities, self._limits, self._trending(query)
        ranked = _of(a, original)[a.rank[a.offsets[original] : a.offsets[original + 1]].argsort()]
        session = session_items(batch.ready.sessions, original, trending, self._categories(), limits.session)
        return {
            Source.HISTORY: filter_.first(ranked, catalogue, limits.history),
            Source.TRENDING: filter_.first(trending.order, catalogue, limits.trending),
            Source.SESSION: filter_.first(session, catalogue, limits.session),
            Source.HOT: filter_.first(self._hot(query).order, catalogue, limits.hot),
            Source.TASTE: filter_.first(liked, catalogue, limits.taste),
        }

    def _pairs(self, batch: _Batch, offsets: Int64) -> dict[str, NDArray[Any]]:
        """The pair columns of all candidates; the impersonal queries of the batch have none."""
        rows = np.concatenate([c.rows for c in batch.candidates])
        trending = np.concatenate(
            [self._hot(query).of(c.rows) for query, c in zip(batch.queries, batch.candidates, strict=True)]
        )
        counts = np.zeros(len(batch.asked_at), np.int64)
        counts[batch.places] = offsets[1:] - offsets[:-1]
        columns = pair_columns(
            self._items.shop, batch.everybody.histories, rows, lengths_to_offsets(counts), self._items.catalogue,
            trending, batch.asked_at, batch.ready,
        )  # fmt: skip
        return columns | {
            "taste": batch.model.taste.pairs(batch.tastes, batch.places.repeat(counts[batch.places]), rows)
        }

    def _categories(self) -> NDArray[np.int32] | None:
        category = self._items.shop.category
        return self._items.catalogue.attribute(category) if category else None

    def _inputs(self, batch: _Batch, pairs: dict[str, NDArray[Any]], offsets: Int64) -> Scored:
        """The ranker's inputs of all candidates: customer, item, pair and request columns side by side."""
        pair = Scored(*batch.model.encoder.encode(pairs, "pair"))
        items = [
            batch.model.matrix.gather(day_of(query.as_of), candidates.rows)
            for query, candidates in zip(batch.queries, batch.candidates, strict=True)
        ]
        customer, request, who = batch.query, batch.request, owners(offsets)
        codes, numbers = [codes for codes, _ in items], [numbers for _, numbers in items]
        return Scored(
            np.concatenate(
                [customer.categorical[who], np.concatenate(codes), pair.categorical, request.categorical[who]], axis=1
            ),
            np.concatenate(
                [customer.continuous[who], np.concatenate(numbers), pair.continuous, request.continuous[who]], axis=1
            ),
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
        purchased = _of(batch.ready.affinities, int(batch.places[place]))
        pool = self._best(query, own, candidates.rows, purchased)
        best = pool[self._spread(query, candidates.rows[pool], own[pool], purchased, batch.model)]
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


def _narrow(queries: Sequence[Query]) -> bool:
    """Will filters take away much of what is proposed?"""
    return any(each.exclude_purchased or each.categories for each in queries)


def _of(affinities: ItemAffinities, place: int) -> Rows:
    """Catalogue rows of the items that a customer holds."""
    rows: Rows = affinities.row[affinities.offsets[place] : affinities.offsets[place + 1]]
    return rows
