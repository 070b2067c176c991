"""One write to a record at a time, over all gateways: what was read is still true when its successor is published."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis
from redis.lock import Lock

from feature_repo.record_store import Kind
from feature_repo.redis_commands import Client
from serving.gateway.problems import Problem
from serving.gateway.threads import Threads
from streams.contracts.observability import logger

log = logger(__name__)

HELD_S = 30.0
"""A gateway that dies leaves its locks for so long; no write takes longer."""

WAIT_S = 5.0
EVERY_S = 0.02


class RecordLocks:
    """Locks in Redis, one a record. They bind gateways only: who publishes on Kafka himself does not ask."""

    def __init__(self, client: Client, kind: Kind, threads: Threads) -> None:
        self._client, self._threads = client, threads
        self._kind = kind

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[None]:
        """Hold a record's lock.

        Raises
        ------
        Problem
            409: somebody else has held it for `WAIT_S`.
        redis.RedisError
            Redis is out of reach.
        """
        digest = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        lock = Lock(self._client, f"hw:rest:lock:{self._kind}:{digest}", timeout=HELD_S, thread_local=False)
        until = time.monotonic() + WAIT_S
        while not await self._threads.run(lock.acquire, blocking=False):
            if time.monotonic() > until:
                raise Problem(
                    409,
                    "being_written",
                    f"{self._kind} {name!r} is being written by another request; try again in a moment",
                    headers={"Retry-After": "1"},
                )
            await asyncio.sleep(EVERY_S)
        try:
            yield
        finally:
            try:
                await self._threads.run(lock.release)
            except redis.RedisError as error:  # it runs out by itself
                log.warning("lock not released", kind=self._kind, why=str(error))
