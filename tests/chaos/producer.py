"""Publishing the traffic at the pace of the plan, through Kafka's deaths, knowing in the end that all has arrived."""

import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from streams.contracts.codec import encode
from streams.settings import Settings
from tests.chaos.traffic import Sent, Traffic

_PATIENT = {
    # Kafka is away again and again, once in a while for long: nothing may be given up.
    "message.timeout.ms": 900_000,
    "linger.ms": 5,
    "queue.buffering.max.messages": 500_000,
    "reconnect.backoff.max.ms": 1000,
    "log_level": 2,  # that Kafka can't be reached is no news here
}


class Publishing:
    """A thread that publishes interactions, and changes of records in between, as far as it is allowed.

    Parameters
    ----------
    allowed: returns the share of the traffic, 0 to 1, that may have been published by now.
    """

    def __init__(self, settings: Settings, traffic: Traffic, allowed: Callable[[], float]) -> None:
        self._producer = Producer({**settings.producer_config(), **_PATIENT})
        self._topics = settings.topics
        self._traffic = traffic
        self._allowed = allowed
        self._thread = threading.Thread(target=self._work, name="producer", daemon=True)
        self._end = threading.Event()
        self.sent = 0
        self.delivered = 0
        self.ends: dict[int, int] = {}
        self.errors: list[str] = []

    def publish_records(self) -> None:
        """Publish the catalogue and the customers, all of them, and wait until they have arrived."""
        for item in self._traffic.items:
            self._put(self._topics.items.name, item.item_id, item)
        for customer in self._traffic.customers:
            self._put(self._topics.customers.name, customer.customer_id, customer)
        self.flush()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def erase(self, customer: str) -> None:
        """Publish a customer's tombstone."""
        self._produce(self._topics.customers.name, None, customer.encode())

    def flush(self, timeout_s: float = 300.0) -> None:
        """Wait until all that was sent has arrived.

        Raises
        ------
        RuntimeError: Kafka did not take everything.
        """
        left = self._producer.flush(timeout_s)
        if left or self.errors:
            raise RuntimeError(f"Kafka did not take everything: {left} records are left, errors {self.errors[:3]}")

    def finish(self, timeout_s: float = 300.0) -> None:
        """Publish what is left at once, and wait until all has arrived."""
        self._end.set()
        self._thread.join(timeout_s)
        self.flush(timeout_s)

    def _work(self) -> None:
        records = self._traffic.records
        upserts = self._upserts()
        while self.sent < len(records):
            share = 1.0 if self._end.is_set() else min(1.0, self._allowed())
            until = int(share * len(records))
            for record in records[self.sent : until]:
                self._interaction(record)
            self.sent = max(self.sent, until)
            while upserts and upserts[-1][0] <= share:
                self._put(*upserts.pop()[1:])
            self._producer.poll(0)
            time.sleep(0.02)
        while upserts:
            self._put(*upserts.pop()[1:])

    def _upserts(self) -> list[tuple[float, str, str, object]]:
        """Changes of records with the share of the traffic after which each comes, the first one last."""
        items, customers = self._traffic.item_changes, self._traffic.customer_changes
        found: list[tuple[float, str, str, object]] = [
            *((at / len(items), self._topics.items.name, each.item_id, each) for at, each in enumerate(items)),
            *(
                (at / len(customers), self._topics.customers.name, each.customer_id, each)
                for at, each in enumerate(customers)
            ),
        ]
        return sorted(found, key=lambda each: each[0], reverse=True)

    def _interaction(self, record: Sent) -> None:
        options = {} if record.partition is None else {"partition": record.partition}
        self._produce(self._topics.interactions.name, record.value, record.key, **options)

    def _put(self, topic: str, key: str, record: object) -> None:
        self._produce(topic, encode(record), key.encode())

    def _produce(self, topic: str, value: bytes | None, key: bytes, **options: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=self._arrived, **options)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)

    def _arrived(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.errors.append(f"{message.topic()}: {error}")
            return
        if message.topic() == self._topics.interactions.name:
            self.delivered += 1
            partition, offset = message.partition() or 0, message.offset()
            if offset is not None and offset >= 0:
                self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)
