"""The service: requests in, replies and served records out; what the Kafka consumer and the gateway share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import redis

from feature_repo.shop import Shop
from feature_repo.trends import slot_of
from serving.candidates import SCORED
from serving.candidates import Source as Mask
from serving.customers import NO_POSITION, CustomerReader, Customers, joined, nobody
from serving.inbox import Asked, Refused
from serving.item_matrix import day_of
from serving.items_table import ItemsTable
from serving.live_model import LiveModel
from serving.recommendation import Query, Recommendation
from serving.recommender import Recommender
from serving.scorer import Scorer
from serving.stopwatch import Stopwatch
from serving.visitors import visitors
from streams.contracts.observability import FALLBACKS, REQUEST_STAGE_SECONDS, REQUESTS, logger
from streams.contracts.partitioner import partition_of
from streams.contracts.requests import (
    FallbackReason,
    RecommendedItem,
    Reply,
    ReplyError,
    ScoredFeatures,
    Seen,
    ServedRecord,
    Source,
    Status,
    Timings,
)

log = logger(__name__)

_SOURCES = {mask: [Source[flag.name] for flag in Mask if flag.name and mask & flag] for mask in range(2 * max(Mask))}

# Looking a series up by its labels costs ten times what counting does.
_ANSWERED = {status: REQUESTS.labels(status.value) for status in Status}
_FELL_BACK = {reason: FALLBACKS.labels(reason.value) for reason in FallbackReason}
_stage = cache(REQUEST_STAGE_SECONDS.labels)


@dataclass(frozen=True)
class Answer:
    """A reply and the record kept of it."""

    asked: Asked
    reply: Reply
    served: ServedRecord


class Service:
    """Answers batches of requests.

    Parameters
    ----------
    partitions
        Partitions of the interactions' topic: a customer's is told in its replies.
    candidates
        Scored for a list; see `Recommender`.
    stream_clock
        Whether a request without `as_of` is answered for the newest event of the stream, and not for now.
    now
        The wall clock, seconds since the epoch.
    """

    def __init__(
        self,
        shop: Shop,
        reader: CustomerReader,
        items: ItemsTable,
        live: LiveModel,
        scorer: Scorer,
        partitions: int,
        *,
        candidates: int = SCORED,
        stream_clock: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._shop, self._reader, self._items, self._live = shop, reader, items, live
        self._partitions, self._stream_clock, self._now = partitions, stream_clock, now
        self._recommender = Recommender(items, scorer, now, scored=candidates)

    def default_as_of(self) -> int:
        """The instant for which a request without `as_of` is answered, microseconds since the epoch."""
        newest = self._items.newest_event_at if self._stream_clock else 0
        return newest or int(self._now() * 1e6)

    def warm_up(self) -> None:
        """Do once what the first request would wait for: connections, caches, the trending list."""
        as_of = self.default_as_of()
        self._items.trending(day_of(as_of))
        self._items.hot(slot_of(as_of), exact=False)
        self._known(["warm-up"])

    def answer(self, batch: Sequence[Asked]) -> list[Answer]:
        """Answer requests together, in order; whatever is out of reach costs personality, not the answer.

        A request that the program itself fails on is answered with an error, the others beside it as usual.
        """
        try:
            return self._answer(batch)
        except Exception:
            if len(batch) > 1:
                return [answer for asked in batch for answer in self.answer([asked])]
            log.exception("request failed", recommendation_id=batch[0].recommendation_id)
            return [self._failure(batch[0])]

    def _answer(self, batch: Sequence[Asked]) -> list[Answer]:
        started = self._now()
        watch = Stopwatch()
        customers, reachable = self._customers(batch)
        queries = self._queries(batch, customers)
        with self._live.pinned() as model:
            found = self._recommender.recommend(queries, customers, model, watch)
        total = self._now() - started
        for stage, seconds in watch.seconds.items():
            _stage(stage).observe(seconds)
        answers = []
        for place, (asked, query, recommendation) in enumerate(zip(batch, queries, found, strict=True)):
            timings = _timings(watch, started - asked.position.timestamp / 1000, total)
            reply = self._reply(asked, query, recommendation, customers, place, timings, reachable)
            answers.append(Answer(asked, reply, self._served(asked, reply, recommendation)))
        return answers

    def _failure(self, asked: Asked) -> Answer:
        _ANSWERED[Status.ERROR].inc()
        reply = Reply(
            correlation_id=asked.correlation_id,
            recommendation_id=asked.recommendation_id,
            customer_id=asked.request.customer_id,
            status=Status.ERROR,
            items=[],
            error=ReplyError(code="internal", message="the service failed on this request; its log says why"),
        )
        return Answer(asked, reply, self._served(asked, reply, None))

    def _customers(self, batch: Sequence[Asked]) -> tuple[Customers, bool]:
        """Who asks, in order, and whether the store could be reached: from their rows, or from what visitors did."""
        known = [place for place, asked in enumerate(batch) if asked.visit is None]
        if len(known) == len(batch):
            return self._known([asked.request.customer_id for asked in batch])
        visiting = [place for place, asked in enumerate(batch) if asked.visit is not None]
        default = self.default_as_of()
        parts = [
            visitors(
                [batch[place].visit or () for place in visiting],
                [batch[place].request.customer_id for place in visiting],
                [default if (as_of := batch[place].as_of) is None else as_of for place in visiting],
                self._shop,
                self._items.catalogue,
            )
        ]
        reachable = True
        if known:
            rows, reachable = self._known([batch[place].request.customer_id for place in known])
            parts.append(rows)
        return joined(parts).take(np.argsort([*visiting, *known])), reachable

    def _known(self, ids: list[str]) -> tuple[Customers, bool]:
        try:
            return self._reader.read(ids), True
        except redis.RedisError as error:
            log.warning("customers not read", why=str(error))
            return nobody(ids, self._shop), False

    def _queries(self, batch: Sequence[Asked], customers: Customers) -> list[Query]:
        default = self.default_as_of()
        latest = customers.last_event_at.tolist()
        queries = []
        for asked, last_event_at in zip(batch, latest, strict=True):
            request = asked.request
            # By the stream's clock nothing that the customer did lies ahead.
            as_of = max(default, last_event_at) if self._stream_clock else default
            queries.append(
                Query(
                    customer_id=request.customer_id,
                    as_of=as_of if asked.as_of is None else asked.as_of,
                    n=request.n,
                    exclude_items=request.exclude_items,
                    exclude_purchased=request.exclude_purchased,
                    categories=request.categories,
                    explain=request.explain,
                    diversity=request.diversity,
                    novelty=request.novelty,
                    live=asked.as_of is None,
                    context=request.context,
                    deadline=(asked.position.timestamp + request.deadline_ms) / 1000,
                )
            )
        return queries

    def _reply(
        self,
        asked: Asked,
        query: Query,
        found: Recommendation,
        customers: Customers,
        place: int,
        timings: Timings,
        reachable: bool,
    ) -> Reply:
        reason = found.reason
        if reason is FallbackReason.UNKNOWN_CUSTOMER and not reachable:
            reason = FallbackReason.MISSING_FEATURES
        status = Status.OK if reason is None else Status.FALLBACK
        _ANSWERED[status].inc()
        if reason is not None:
            _FELL_BACK[reason].inc()
        return Reply(
            correlation_id=asked.correlation_id,
            recommendation_id=asked.recommendation_id,
            customer_id=query.customer_id,
            status=status,
            reason=reason.value if reason else None,
            items=self._items_of(found),
            model_version=found.version,
            as_of=query.as_of // 1000,
            seen=self._seen(query.customer_id, customers, place),
            timings_ms=timings,
        )

    def _items_of(self, found: Recommendation) -> list[RecommendedItem]:
        catalogue = self._items.catalogue
        explanations: Sequence[dict[str, float] | None] = found.explanations or [None] * len(found.rows)
        return [
            RecommendedItem(
                item_id=catalogue.item_ids[row],
                score=score,
                sources=_SOURCES[mask],
                name=catalogue.names[row] or None,
                explanation=explanation,
            )
            for row, score, mask, explanation in zip(
                found.rows.tolist(), found.scores.tolist(), found.sources.tolist(), explanations, strict=True
            )
        ]

    def _seen(self, customer_id: str, customers: Customers, place: int) -> Seen | None:
        position, last = int(customers.position[place]), int(customers.last_event_at[place])
        if not customers.complete[place] or position == NO_POSITION:
            return None
        return Seen(
            partition=partition_of(customer_id.encode(), self._partitions),
            offset=position,
            last_event_at=last // 1000 if last else None,
        )

    def _served(self, asked: Asked, reply: Reply, found: Recommendation | None) -> ServedRecord:
        features = None
        if found is not None and found.features is not None:
            features = ScoredFeatures(
                categorical=found.features.categorical.tolist(), continuous=found.features.continuous.tolist()
            )
        return ServedRecord(
            recommendation_id=asked.recommendation_id,
            correlation_id=asked.correlation_id,
            customer_id=asked.request.customer_id,
            served_at=int(self._now() * 1000),
            request=asked.request,
            reply=reply,
            features=features,
        )


def refusal(refused: Refused) -> Reply | None:
    """The error reply to a record that is no request; None where nobody could tell what it answers."""
    _ANSWERED[Status.ERROR].inc()
    if refused.correlation_id is None:
        return None
    return Reply(
        correlation_id=refused.correlation_id,
        recommendation_id=refused.recommendation_id,
        customer_id="",
        status=Status.ERROR,
        items=[],
        error=ReplyError(code=refused.why.reason.value, message=refused.why.detail),
    )


def _timings(watch: Stopwatch, queue_s: float, total_s: float) -> Timings:
    def milliseconds(stage: str) -> float:
        return round(watch.seconds.get(stage, 0.0) * 1000, 3)

    return Timings(
        queue=round(max(queue_s, 0.0) * 1000, 3),
        features=milliseconds("features"),
        retrieve=milliseconds("retrieve"),
        candidates=milliseconds("candidates"),
        score=milliseconds("score"),
        total=round(total_s * 1000, 3),
    )
