"""Whether the gateway can do its work, asked of what it needs and not of what it remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import anyio.to_thread
import msgspec
import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from feature_repo.redis_commands import connect
from serving.engine import Engine
from serving.gateway.answering import Answering
from serving.gateway.settings import GatewaySettings

KEPT_S = 1.0
"""An answer is good for so long: however often they ask, Kafka and Redis are asked once a second."""
STUCK_S = 30.0
KAFKA_TIMEOUT_S = 2.0
REDIS_TIMEOUT_S = 0.5
OK = "ok"


class Liveness(msgspec.Struct, kw_only=True):
    """Whether the process does anything at all."""

    alive: bool


class Readiness(msgspec.Struct, kw_only=True):
    """Whether the process can do its work.

    Attributes
    ----------
    checks: by name `ok`, or what is wrong.
    degraded: names of checks that cost quality, not answers.
    model_version: of the live model; null without one.
    """

    ready: bool
    checks: dict[str, str]
    degraded: list[str]
    model_version: int | None


class Ready:
    """Checks what the gateway needs.

    Parameters
    ----------
    answering
        Every thread that answers: one that is stuck is enough for a new start.
    """

    def __init__(self, settings: GatewaySettings, engine: Engine, answering: Sequence[Answering]) -> None:
        self._engine, self._answering = engine, answering
        self._admin = AdminClient({**settings.kafka_config(), "socket.timeout.ms": int(KAFKA_TIMEOUT_S * 1000)})
        self._topic = settings.topics.interactions.name
        self._redis = connect(settings.redis_url, timeout_s=REDIS_TIMEOUT_S, retries=0)
        self._asking = asyncio.Lock()
        self._found: tuple[float, Readiness] | None = None

    def alive(self) -> Liveness:
        """Whether all threads that answer do."""
        return Liveness(alive=all(each.stuck_s < STUCK_S for each in self._answering))

    async def check(self) -> Readiness:
        """How things are, or were a second ago."""
        async with self._asking:
            if self._found is None or time.monotonic() - self._found[0] > KEPT_S:
                self._found = time.monotonic(), await self._ask()
            return self._found[1]

    async def _ask(self) -> Readiness:
        kafka, store = await asyncio.gather(
            anyio.to_thread.run_sync(self._kafka), anyio.to_thread.run_sync(self._store)
        )
        model, current = self._model(), self._engine.live.current
        checks = {
            "kafka": kafka,
            "redis": store,
            "items": OK if self._engine.following else "not followed any more; the log says why",
            "answering": OK if self.alive().alive else "stuck",
            "model": model,
        }
        return Readiness(
            ready=all(state == OK for name, state in checks.items() if name != "model"),
            checks=checks,
            degraded=[] if model == OK else ["model"],
            model_version=current.version if current else None,
        )

    def _kafka(self) -> str:
        try:
            found = self._admin.list_topics(self._topic, timeout=KAFKA_TIMEOUT_S).topics[self._topic]
        except KafkaException:
            return "out of reach"
        return OK if found.error is None else "has no topics of ours"

    def _store(self) -> str:
        try:
            self._redis.ping()
        except redis.RedisError:
            return "out of reach"
        return OK

    def _model(self) -> str:
        if self._engine.live.current is None:
            return "none yet: what is trending is answered"
        return "does not answer" if self._engine.scorer.failed.is_set() else OK
