"""The serving process: answers the topic `recommendation-requests`. Run with `python -m serving.consumer`."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from serving.algebra import on_one_thread
from serving.deliveries import Deliveries, Delivery
from serving.engine import Engine
from serving.inbox import Address, Answered, Asked, Inbox, Position, Refused
from serving.service import Answer, Service, refusal
from serving.settings import ServingSettings
from streams.contracts.codec import encode
from streams.contracts.observability import (
    DEAD_LETTERS,
    READY,
    REQUEST_LAG,
    REQUEST_SECONDS,
    configure_logging,
    logger,
    serve_metrics,
)
from streams.contracts.partitioner import partition_of
from streams.contracts.requests import CORRELATION_ID, Reply
from streams.contracts.topics import MAX_DEAD_LETTER_BYTES
from streams.dead_letters import key_of, letter

log = logger(__name__)

POLL_S = 0.1
LAG_EVERY_S = 2.0


class RequestsConsumer:
    """Reads requests, has them answered in small batches, sends the answers, commits what is delivered."""

    def __init__(self, settings: ServingSettings, service: Service, inbox: Inbox) -> None:
        self._settings, self._service, self._inbox = settings, service, inbox
        self._topics = settings.topics
        self._answered = Answered(settings.dedupe_requests)
        self._deliveries = Deliveries()
        self._producer = Producer(
            {
                **settings.producer_config(),
                "linger.ms": 0,
                "compression.type": "none",  # answers are small and on their own; compressing them only takes time
                "delivery.timeout.ms": 30_000,
                "message.max.bytes": MAX_DEAD_LETTER_BYTES,
            }
        )
        self._consumer = Consumer(
            {
                **settings.kafka_config(),
                "group.id": settings.serving_group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "fetch.min.bytes": 1,
                "allow.auto.create.topics": False,
            }
        )
        self.assigned = threading.Event()
        self._lag_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Answer until `stop` is set; then send and commit what is under way."""
        self._consumer.subscribe(
            [self._topics.recommendation_requests.name], on_assign=self._on_assign, on_revoke=self._on_revoke
        )
        try:
            while not stop.is_set():
                self._step()
        finally:
            self._producer.flush(10)
            self._commit(asynchronous=False)
            self._consumer.close()

    def _step(self) -> None:
        first = self._consumer.poll(POLL_S if not self._deliveries.open else 0.002)
        if first is not None:
            more = (
                self._consumer.consume(self._settings.serving_batch - 1, 0) if self._settings.serving_batch > 1 else []
            )
            self._handle([message for message in (first, *more) if self._is_record(message)])
        self._producer.poll(0)
        self._commit(asynchronous=True)
        if time.monotonic() - self._lag_at > LAG_EVERY_S:
            self._tell_lag()

    def _tell_lag(self) -> None:
        self._lag_at = time.monotonic()
        for position in self._consumer.position(self._consumer.assignment()):
            _, end = self._consumer.get_watermark_offsets(position, cached=True)
            if position.offset >= 0 and end >= 0:
                REQUEST_LAG.labels(str(position.partition)).set(end - position.offset)

    def _handle(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        offsets: dict[tuple[str, int], int] = {}
        asked: list[Asked] = []
        refused: list[tuple[Refused, Message]] = []
        for message in messages:
            position = _position(message)
            offsets[position.topic, position.partition] = position.offset + 1
            found = self._inbox.read(message.value(), list(message.headers() or ()), position)  # type: ignore[arg-type]
            if isinstance(found, Refused):
                refused.append((found, message))
            elif self._answered.add(found.correlation_id):
                asked.append(found)
        delivery = self._deliveries.begin(offsets)
        if asked:
            for answer in self._service.answer(asked):
                self._send(answer, delivery)
        for wrong, message in refused:
            self._refuse(wrong, message, delivery)

    def _send(self, answer: Answer, delivery: Delivery) -> None:
        asked = answer.asked
        key = asked.request.customer_id.encode()
        self._reply(asked.reply_to, key, answer.reply, delivery)
        served = self._topics.served
        self._produce(
            served.name,
            answer.served.recommendation_id.encode(),
            encode(answer.served),
            delivery,
            partition=partition_of(key, served.partitions),
        )
        REQUEST_SECONDS.observe(max(0.0, answer.reply.timings_ms.queue + answer.reply.timings_ms.total) / 1000)

    def _refuse(self, wrong: Refused, message: Message, delivery: Delivery) -> None:
        at = wrong.position
        dead = letter(
            at.topic,
            at.partition,
            at.offset,
            int(at.timestamp),
            _bytes(message.key()),
            _bytes(message.value()),
            wrong.why,
        )
        self._produce(self._topics.dead_letters.name, key_of(dead), encode(dead), delivery)
        DEAD_LETTERS.labels(dead.reason.value).inc()
        reply = refusal(wrong)
        if reply is not None:
            self._reply(wrong.reply_to, _bytes(message.key()), reply, delivery)

    def _reply(self, to: Address, key: bytes | None, reply: Reply, delivery: Delivery) -> None:
        headers: list[tuple[str, str | bytes | None]] = [
            (CORRELATION_ID, reply.correlation_id.encode()),
            ("recommendation_id", reply.recommendation_id.encode()),
        ]
        if reply.model_version is not None:
            headers.append(("model_version", b"%d" % reply.model_version))
        self._produce(to.topic, key, encode(reply), delivery, headers, to.partition)

    def _produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        delivery: Delivery,
        headers: list[tuple[str, str | bytes | None]] | None = None,
        partition: int | None = None,
    ) -> None:
        chosen: dict[str, Any] = {} if partition is None else {"partition": partition}
        delivered = delivery.expect()
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers or [], on_delivery=delivered, **chosen)
                return
            except BufferError:
                self._producer.poll(0.01)
            except KafkaException as error:  # a partition that the topic does not have is known at once
                delivery.waiting -= 1
                log.error("not sent", topic=topic, partition=partition, why=str(error))
                return

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.fatal() or error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise KafkaException(error)
        log.warning("kafka", why=str(error))
        return False

    def _commit(self, asynchronous: bool) -> None:
        done = self._deliveries.committable()
        if done:
            offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in done.items()]
            try:
                if asynchronous:
                    self._consumer.commit(offsets=offsets)
                else:
                    self._consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:  # they are answered again, and deduplicated by who asked
                log.warning("offsets not committed", why=str(error))

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("partitions assigned", partitions=[each.partition for each in partitions])
        self.assigned.set()

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._producer.flush(5)
        self._commit(asynchronous=False)
        for each in partitions:
            self._deliveries.forget(each.topic, each.partition)


def _position(message: Message) -> Position:
    return Position(message.topic() or "", message.partition() or 0, message.offset() or 0, message.timestamp()[1])


def _bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = ServingSettings()
    configure_logging("serving", settings.log_level)
    stop = threading.Event()
    on_one_thread()
    sys.setswitchinterval(0.001)  # a request waits for the other threads' turns hundreds of times
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop_metrics = serve_metrics(settings.metrics_port)
    engine, topics = Engine(settings), settings.topics
    try:
        engine.start()
        gc.collect()
        gc.freeze()  # hundreds of thousands of items' parts stay: going through them would hold a request up
        inbox = Inbox(topics.recommendations.name, settings.allowed_replies, bool(engine.shop.category))
        consumer = RequestsConsumer(settings, engine.service, inbox)
        threading.Thread(target=_announce_ready, args=(consumer.assigned,), daemon=True).start()
        consumer.run(stop)
    finally:
        READY.set(0)
        engine.stop()
        stop_metrics()
        log.info("stopped")


def _announce_ready(assigned: threading.Event) -> None:
    assigned.wait()
    READY.set(1)
    log.info("ready")


if __name__ == "__main__":
    main()
