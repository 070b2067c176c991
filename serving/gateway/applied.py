"""Waiting for the streams: what was published on a compacted topic is in Redis once they have applied it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # re-exports without __all__

from feature_repo.record_store import Position
from feature_repo.redis_commands import Client
from serving.gateway.threads import Threads
from streams.contracts.partitioner import partition_of
from streams.contracts.topics import Topic
from streams.upsert_positions import UpsertPositions

EVERY_S = 0.005
"""Seconds between two looks at how far the streams are."""

KAFKA_TIMEOUT_S = 5.0


class Applied:
    """How far a topic's records are in Redis. For one event loop.

    Parameters
    ----------
    client
        Where the streams write to.
    topic
        ``items`` or ``customers``.
    config
        librdkafka's connection settings.
    threads
        For calls of Redis.
    """

    def __init__(self, client: Client, topic: Topic, config: Mapping[str, Any], threads: Threads) -> None:
        self._threads = threads
        self._positions = UpsertPositions(client, topic.name)
        self._topic = topic
        self._admin = AdminClient(dict(config))
        self._look: asyncio.Task[dict[int, int]] | None = None
        self._stalled: dict[int, int] = {}

    async def reached(self, position: Position, within_s: float) -> bool:
        """Wait until a record has been applied; False if that takes longer.

        Where the streams have not moved since somebody waited in vain, nobody waits again.

        Raises
        ------
        redis.RedisError
            Redis is out of reach.
        """
        partition, offset = position
        until = time.monotonic() + within_s
        while True:
            at = (await self._read()).get(partition, 0)
            if at > offset:
                self._stalled.pop(partition, None)
                return True
            if self._stalled.get(partition) == at:
                return False
            if time.monotonic() > until:
                self._stalled[partition] = at
                return False
            await asyncio.sleep(EVERY_S)

    async def caught_up(self, name: str, within_s: float) -> bool:
        """Wait until everything has been applied that is on a key's partition by now, whoever published it.

        Raises
        ------
        redis.RedisError
            Redis is out of reach.
        KafkaException
            Kafka is.
        """
        partition = partition_of(name.encode(), self._topic.partitions)
        return await self.reached((partition, await self._end(partition) - 1), within_s)

    async def _end(self, partition: int) -> int:
        """The offset that the next record will have."""
        place = TopicPartition(self._topic.name, partition)
        asked = self._admin.list_offsets(
            {place: OffsetSpec.latest()},  # type: ignore[no-untyped-call]
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=KAFKA_TIMEOUT_S,
        )
        return int((await asyncio.wrap_future(asked[place])).offset)

    async def _read(self) -> dict[int, int]:
        """One look serves all who wait; as old as it is, it never tells too much."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._threads.run(self._positions.read))
        return await asyncio.shield(self._look)
