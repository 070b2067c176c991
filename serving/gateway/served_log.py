"""Every answer as it was given: to Kafka's topic `served`, and from there, for the newest ones, into memory.

What is explained need not have been answered here: other replicas' answers and the consumer's come from the topic too,
and what is deleted there (its customer was erased) goes from memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from serving.gateway.settings import GatewaySettings
from serving.service import Answer
from serving.visitors import ANONYMOUS
from streams.contracts.codec import decode, encode
from streams.contracts.observability import SERVED_LOST, logger
from streams.contracts.partitioner import partition_of
from streams.contracts.requests import ServedRecord
from streams.watermarks import watermarks

log = logger(__name__)

BACK = 1000
"""Records of each partition that are read at the start."""
AT_ONCE = 500
POLL_S = 0.25
TIMEOUT_S = 30.0
QUEUED = 20_000
"""Answers that wait for Kafka while it is away; those beyond are counted, and lost to the record."""


class Remembered:
    """Records by key, the newest ones, up to a number of bytes. For several threads."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._records: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, key: str, record: bytes | None) -> None:
        """Remember a record; None forgets it."""
        with self._lock:
            self._bytes -= len(self._records.pop(key, b""))
            if record is None:
                return
            self._records[key] = record
            self._bytes += len(record)
            while self._bytes > self._limit and len(self._records) > 1:
                self._bytes -= len(self._records.popitem(last=False)[1])

    def get(self, key: str) -> bytes | None:
        """The record, None where it is not among the remembered ones."""
        return self._records.get(key)


class ServedLog:
    """Writes answers down, and finds the newest ones again."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._topic = settings.topics.served
        self._remembered = Remembered(settings.gateway_explained * 1_048_576)
        self._producer = Producer(
            {
                **settings.producer_config(),
                "linger.ms": 20,
                "delivery.timeout.ms": 30_000,
                "queue.buffering.max.messages": QUEUED,
            }
        )
        self._consumer = Consumer(
            {
                **settings.kafka_config(),
                "group.id": f"tail-of-{self._topic.name}",  # never committed to; librdkafka wants one
                "enable.auto.commit": False,
                "auto.offset.reset": "latest",
                "allow.auto.create.topics": False,
            }
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="served", daemon=True)

    def start(self) -> None:
        """Follow the topic from a little before its end."""
        tails = []
        for partition in range(self._topic.partitions):
            low, high = watermarks(self._consumer, self._topic.name, partition, TIMEOUT_S)
            tails.append(TopicPartition(self._topic.name, partition, max(low, high - BACK)))
        self._consumer.assign(tails)
        self._thread.start()

    def stop(self) -> None:
        """Send what has not been sent, and leave Kafka."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._consumer.close()
        self._producer.flush(5)

    def write(self, answer: Answer) -> None:
        """Record an answer; one that Kafka does not take is counted, for nobody waits for it."""
        served, record = answer.served, encode(answer.served)
        self._remembered.put(served.recommendation_id, record)
        owner = served.recommendation_id if served.customer_id == ANONYMOUS else served.customer_id
        try:
            self._producer.produce(
                self._topic.name,
                record,
                served.recommendation_id.encode(),
                partition=partition_of(owner.encode(), self._topic.partitions),
                on_delivery=_delivered,
            )
        except (BufferError, KafkaException):
            SERVED_LOST.inc()
        self._producer.poll(0)

    def find(self, recommendation_id: str) -> ServedRecord | None:
        """The record of an answer, None where it is not among the newest ones."""
        record = self._remembered.get(recommendation_id)
        return None if record is None else decode(record, ServedRecord)

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                for message in self._consumer.consume(AT_ONCE, POLL_S):
                    self._take(message)
            except Exception:
                log.exception("served not followed")
                self._stop.wait(1.0)

    def _take(self, message: Message) -> None:
        key, value = message.key(), message.value()
        if message.error() is None and isinstance(key, bytes) and (value is None or isinstance(value, bytes)):
            self._remembered.put(key.decode(errors="replace"), value)


def _delivered(error: object, _: object) -> None:
    if error is not None:
        SERVED_LOST.inc()
