"""Asking for recommendations over Kafka: a request out, the reply with its correlation id back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from streams.contracts.codec import decode, encode
from streams.contracts.requests import CORRELATION_ID, REPLY_TO, RecommendationRequest, Reply
from streams.settings import Settings
from streams.watermarks import watermarks


class Received(NamedTuple):
    """A reply, the request it answers, and the milliseconds from sending the one to holding the other."""

    request: RecommendationRequest
    reply: Reply
    milliseconds: float


class RecommendationClient:
    """A connection for requests and replies. For one thread, or for one that sends and another that receives.

    Parameters
    ----------
    settings
        Where Kafka is, and the topics' prefix.
    reply_to
        Topic to be answered on; default: `recommendations`.
    timeout_s
        Seconds to wait for a reply, and for the broker at the start.

    Raises
    ------
    LookupError
        The reply topic does not exist.
    KafkaException
        The broker cannot be reached.
    """

    def __init__(self, settings: Settings, reply_to: str | None = None, timeout_s: float = 30.0) -> None:
        self._requests = settings.topics.recommendation_requests.name
        self._reply_to = reply_to or settings.topics.recommendations.name
        self._timeout_s = timeout_s
        self._sent: dict[str, tuple[RecommendationRequest, float]] = {}
        self._failed: list[str] = []
        self._producer = Producer({**settings.producer_config(), "linger.ms": 0})
        self._consumer = Consumer(
            {
                **settings.kafka_config(),
                "group.id": f"recommendation-client-{uuid.uuid4().hex}",  # never committed to
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 100,
                "allow.auto.create.topics": False,
            }
        )
        try:
            self._assign()
        except BaseException:
            self._consumer.close()
            raise

    def _assign(self) -> None:
        """Read every partition of the reply topic from its end as it is now."""
        found = self._consumer.list_topics(self._reply_to, timeout=self._timeout_s).topics[self._reply_to]
        if found.error is not None:
            raise LookupError(f"reply topic {self._reply_to!r} cannot be read: {found.error}")
        ends = []
        for partition in found.partitions:
            _, end = watermarks(self._consumer, self._reply_to, partition, self._timeout_s)
            ends.append(TopicPartition(self._reply_to, partition, end))
        self._consumer.assign(ends)

    def close(self) -> None:
        """Send what is queued and leave the broker."""
        self._producer.flush(5)
        self._consumer.close()

    def __enter__(self) -> RecommendationClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def recommend(self, customer_id: str, **fields: Any) -> Reply:
        """Ask for one customer; `fields` are those of RecommendationRequest. Raises TimeoutError without a reply."""
        return self.ask(RecommendationRequest(customer_id=customer_id, **fields)).reply

    def ask(self, request: RecommendationRequest) -> Received:
        """Ask and wait for the reply; raises TimeoutError where none comes in time."""
        correlation_id = self.send(request)
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            for received in self.receive(0.1):
                if received.reply.correlation_id == correlation_id:
                    return received
        self.forget(correlation_id)
        raise self.no_reply(request)

    def recommend_many(self, requests: Iterable[RecommendationRequest], concurrency: int = 32) -> Iterator[Received]:
        """Ask for many, at most `concurrency` at a time; replies in the order they come.

        Raises TimeoutError where no reply comes for the client's timeout while some are missing.
        """
        waiting = iter(requests)
        exhausted = False
        last = time.monotonic()
        while True:
            while not exhausted and len(self._sent) < concurrency:
                request = next(waiting, None)
                exhausted = request is None
                if request is not None:
                    self.send(request)
            if exhausted and not self._sent:
                return
            for received in self.receive(0.1):
                last = time.monotonic()
                yield received
            if time.monotonic() - last > self._timeout_s:
                raise TimeoutError(f"{len(self._sent)} requests without a reply for {self._timeout_s:.0f} s")

    def send(self, request: RecommendationRequest) -> str:
        """Send a request without waiting; its correlation id. Its reply comes from `receive`."""
        correlation_id = uuid.uuid4().hex
        self._sent[correlation_id] = (request, time.perf_counter())
        self._producer.produce(
            self._requests,
            encode(request),
            request.customer_id.encode(),
            headers=[(CORRELATION_ID, correlation_id.encode()), (REPLY_TO, self._reply_to.encode())],
            on_delivery=self._delivered,
        )
        self._producer.poll(0)
        return correlation_id

    def forget(self, correlation_id: str) -> None:
        """Wait for that reply no longer."""
        self._sent.pop(correlation_id, None)

    def no_reply(self, request: RecommendationRequest) -> TimeoutError:
        """The error that says so."""
        return TimeoutError(
            f"no reply for customer {request.customer_id!r} within {self._timeout_s:.0f} s; "
            "is the serving process running? (headwater status)"
        )

    @property
    def outstanding(self) -> int:
        """Requests sent whose reply has not come."""
        return len(self._sent)

    def receive(self, timeout_s: float) -> list[Received]:
        """Wait up to `timeout_s` for replies to what was sent; replies to others and repeated ones are left out."""
        self._producer.poll(0)
        if self._failed:
            raise KafkaException(self._failed.pop())
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        return [
            received
            for message in (first, *self._consumer.consume(1000, 0))
            if (received := self._match(message)) is not None
        ]

    def _match(self, message: Message) -> Received | None:
        error = message.error()
        if error is not None:
            if error.retriable() or error.code() in (KafkaError._PARTITION_EOF, KafkaError._ALL_BROKERS_DOWN):
                return None
            raise KafkaException(error)
        headers: dict[str, Any] = dict(message.headers() or ())
        sent = self._sent.pop((headers.get(CORRELATION_ID) or b"").decode(), None)
        if sent is None:
            return None
        request, at = sent
        return Received(request, decode(message.value(), Reply), (time.perf_counter() - at) * 1000)

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failed.append(f"request not delivered to {message.topic()}: {error}")
