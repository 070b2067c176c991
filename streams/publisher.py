"""Publishing many records at speed while knowing up to where all of them have arrived."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from streams.settings import Settings


class DeliveryError(RuntimeError):
    """Records that Kafka did not take; names the first."""


class _Stretch:
    """Consecutive records whose arrival is counted together."""

    __slots__ = ("end", "open", "publisher", "waiting")

    def __init__(self, publisher: "Publisher") -> None:
        self.publisher = publisher
        self.waiting = 0
        self.open = True
        self.end = 0

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.publisher.failed(error, message)
        else:
            self.waiting -= 1


class Publisher:
    """A producer that reports a position up to which everything has been acknowledged. For one thread.

    Parameters
    ----------
    settings: where Kafka is.
    config: librdkafka's settings over those for bulk publishing.
    """

    def __init__(self, settings: Settings, config: Mapping[str, Any] | None = None) -> None:
        self._servers = settings.kafka_bootstrap_servers
        self._producer = Producer(
            {
                **settings.producer_config(),
                "linger.ms": 20,
                "batch.size": 262_144,
                "queue.buffering.max.messages": 200_000,
                "message.timeout.ms": 120_000,
                **(config or {}),
            }
        )
        self._stretches: deque[_Stretch] = deque()
        self._current: _Stretch | None = None
        self._acknowledged = 0
        self._errors: list[str] = []
        self.sent = 0

    def send(self, topic: str, key: bytes, value: bytes | None) -> None:
        """Queue a record; waits while the queue is full.

        Raises
        ------
        DeliveryError: an earlier record failed.
        """
        stretch = self._current
        if stretch is None:
            stretch = self._current = _Stretch(self)
            self._stretches.append(stretch)
        stretch.waiting += 1
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=stretch.delivered)
                break
            except BufferError:
                self.wait(0.1)
        self.sent += 1

    def mark(self, position: int) -> None:
        """Say that with what has been sent so far the caller is at `position`, which only grows."""
        self._close(position)
        self.wait(0)

    def _close(self, position: int) -> None:
        if self._current is not None:
            self._current.end = position
            self._current.open = False
            self._current = None
        elif self._stretches:
            self._stretches[-1].end = position
        else:
            self._acknowledged = position

    @property
    def acknowledged(self) -> int:
        """The latest position marked up to which every record has arrived."""
        while self._stretches and not self._stretches[0].open and self._stretches[0].waiting == 0:
            self._acknowledged = self._stretches.popleft().end
        return self._acknowledged

    def wait(self, seconds: float) -> None:
        """Let deliveries be reported for up to so many seconds; raises `DeliveryError` if one failed."""
        self._producer.poll(seconds)
        if self._errors:
            raise DeliveryError(
                f"Kafka at {self._servers} did not take {len(self._errors)} records; the first: {self._errors[0]}"
            )

    def flush(self, timeout: float = 130.0) -> None:
        """Wait until everything has arrived.

        Raises
        ------
        DeliveryError: a record failed, or some are still under way after `timeout` seconds.
        """
        left = self._producer.flush(timeout)
        self.wait(0)
        if left:
            raise DeliveryError(f"Kafka at {self._servers} has not taken {left} records within {timeout:.0f} s")

    def abandon(self, position: int, grace: float = 2.0) -> None:
        """Stop, after an error or Ctrl-C: allow what is under way a moment, throw away what is queued."""
        self._close(position)
        self._producer.flush(grace)
        self._producer.purge()
        self._producer.poll(0)

    def failed(self, error: KafkaError, message: Message) -> None:
        """Note a failed delivery."""
        key = (message.key() or b"").decode(errors="replace")
        self._errors.append(f"topic {message.topic()}, key {key!r}: {error.str()}")
