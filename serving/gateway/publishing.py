"""Publishing from an event loop: a record counts as published once Kafka has acknowledged it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from feature_repo.record_store import Position
from streams.contracts.topics import Topic
from streams.settings import Settings

QUEUE = 50_000
"""Records that may be on their way; a post that would make it more is refused."""

LINGER_MS = 2
"""How long a record waits for others to share a request with."""

TIMEOUT_MS = 10_000
"""After so long a record that Kafka has not acknowledged is given up: its caller waits for an answer."""

POLL_S = 0.1


class NotPublishedError(RuntimeError):
    """Kafka has not acknowledged a record in time; it may have it or not, and may be sent again."""


class Publishing:
    """A producer for one event loop at a time, with a thread that takes Kafka's acknowledgements.

    Parameters
    ----------
    settings
        Where Kafka is.
    config
        librdkafka's settings over those chosen here.
    """

    def __init__(self, settings: Settings, config: Mapping[str, Any] | None = None) -> None:
        self._servers = settings.kafka_bootstrap_servers
        self._producer = Producer(
            {
                **settings.producer_config(),
                "linger.ms": LINGER_MS,
                "queue.buffering.max.messages": 2 * QUEUE,
                "message.timeout.ms": TIMEOUT_MS,
                **(config or {}),
            }
        )
        self._under_way = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="publishing", daemon=True)
        self._thread.start()

    async def publish(self, topic: Topic, records: Sequence[tuple[bytes, bytes | None]]) -> list[Exception | None]:
        """Publish keys and values (``None`` deletes) in order; return for each ``None`` where Kafka has it, or why not.

        What was not published may be sent again. If more is on its way already than Kafka takes, nothing is published.
        """
        return (await self._published(topic, records)).errors

    async def publish_one(self, topic: Topic, key: bytes, value: bytes | None) -> Position:
        """Publish one record; return its partition and offset.

        Raises
        ------
        NotPublishedError
            Kafka did not take it in time.
        """
        batch = await self._published(topic, [(key, value)])
        if batch.errors[0] is not None:
            raise NotPublishedError(str(batch.errors[0])) from batch.errors[0]
        return batch.positions[0]

    def close(self) -> None:
        """Wait a moment for what is on its way, then leave the broker."""
        self._producer.flush(TIMEOUT_MS / 1000)
        self._stop.set()
        self._thread.join()
        self._producer.close()

    async def _published(self, topic: Topic, records: Sequence[tuple[bytes, bytes | None]]) -> _Batch:
        batch = _Batch(len(records), asyncio.get_running_loop())
        if not records:
            return batch
        if self._under_way + len(records) > QUEUE:
            batch.errors = [self._error(f"{self._under_way} records are on their way already")] * len(records)
            return batch
        self._under_way += len(records)
        try:
            await self._send(topic, records, batch)
        finally:
            self._under_way -= len(records)
        batch.errors = [None if each is None else self._error(f"{topic.name}: {each}") for each in batch.errors]
        return batch

    async def _send(self, topic: Topic, records: Sequence[tuple[bytes, bytes | None]], batch: _Batch) -> None:
        for index, (key, value) in enumerate(records):
            try:
                self._producer.produce(topic.name, value, key, on_delivery=partial(batch.delivered, index))
            except (BufferError, KafkaException) as error:
                batch.settle(index, self._error(str(error)))
        await batch.done

    def _error(self, why: str) -> NotPublishedError:
        return NotPublishedError(f"Kafka at {self._servers} does not take records: {why}")

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(POLL_S)


class _Batch:
    """Records whose acknowledgements are awaited together; told of them by another thread."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self.errors: list[Exception | None] = [None] * count
        self.positions: list[Position] = [(-1, -1)] * count
        self._loop = loop
        self._left = count
        self._lock = threading.Lock()

    def delivered(self, index: int, error: KafkaError | None, message: Message) -> None:
        self.positions[index] = (message.partition() or 0, message.offset() or 0)
        self.settle(index, None if error is None else KafkaException(error))

    def settle(self, index: int, error: Exception | None) -> None:
        self.errors[index] = error
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.done.done():  # the caller may have gone
            self.done.set_result(None)
