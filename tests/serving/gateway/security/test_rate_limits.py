"""Rates, counted in a real Redis for all replicas, and by each replica alone while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from serving.gateway.security.rate_limits import PAUSE_S, RateLimits
from tests.streams.own_redis import OwnRedis

RATE = "3/day"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    found = OwnRedis(tmp_path)
    yield found
    found.kill()


class Clock:
    """A clock that is set by hand."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


def with_replicas(redis: OwnRedis, count: int, act: Callable[..., Awaitable[None]], clock: Clock | None = None) -> None:
    async def run() -> None:
        replicas = [RateLimits(f"redis://127.0.0.1:{redis.port}/0", clock or Clock()) for _ in range(count)]
        try:
            await act(*replicas)
        finally:
            for each in replicas:
                await each.close()

    asyncio.run(run())


def test_replicas_count_together_and_each_caller_apart(own_redis: OwnRedis) -> None:
    async def act(one: RateLimits, other: RateLimits) -> None:
        assert [await one.wait("key", "k1", RATE), await other.wait("key", "k1", RATE)] == [0, 0]
        assert await one.wait("key", "k1", RATE) == 0
        assert await other.wait("key", "k1", RATE) > 0
        assert await one.wait("key", "k1", RATE) > 0
        assert await one.wait("key", "k2", RATE) == 0
        assert await one.wait("customer", "k1", RATE) == 0
        assert await one.wait("key", "k1", "1000/day") == 0, "another rate, another count"

    with_replicas(own_redis, 2, act)


def test_no_id_goes_to_redis_and_what_goes_there_ends(own_redis: OwnRedis) -> None:
    async def act(limits: RateLimits) -> None:
        await limits.wait("customer", "Zoë Doe", RATE)
        await limits.wait("customer", "\ud800", RATE)

    with_replicas(own_redis, 1, act)
    names = own_redis.client.keys("*")
    assert len(names) == 2
    assert all(name.startswith(b"hw:limits") and b"Zo" not in name for name in names)
    assert all(own_redis.client.ttl(name) > 0 for name in names)


def test_without_redis_each_replica_counts_by_itself_and_nobody_is_unlimited(own_redis: OwnRedis) -> None:
    clock = Clock()

    async def act(one: RateLimits, other: RateLimits) -> None:
        assert await one.wait("key", "k1", RATE) == 0
        own_redis.kill()
        for replica in (one, other):
            assert [await replica.wait("key", "k1", RATE) for _ in range(3)] == [0, 0, 0]
            assert await replica.wait("key", "k1", RATE) > 0
        own_redis.start()
        assert await one.wait("key", "k1", RATE) > 0, "Redis is not asked again at once"
        clock.at = PAUSE_S
        assert await one.wait("key", "k1", RATE) == 0, "counted in Redis again, which has come back empty"
        assert len(own_redis.client.keys("*")) == 1

    with_replicas(own_redis, 2, act, clock)


def test_a_redis_that_does_not_answer_holds_one_request_up_and_no_other(own_redis: OwnRedis) -> None:
    own_redis.client.execute_command("CLIENT", "PAUSE", 60_000)

    async def act(limits: RateLimits) -> None:
        assert await limits.wait("key", "k1", RATE) == 0
        # Were Redis asked again, each of these would wait: a thousand of them for more than the test may take.
        assert sum([await limits.wait("key", f"k{k}", RATE) == 0 for k in range(5000)]) == 4999 + 1

    with_replicas(own_redis, 1, act)
