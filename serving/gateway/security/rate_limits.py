"""How often somebody may call: counted in Redis, for all replicas together.

A sliding window over two counters (the `limits` library), one script call in Redis for each request. While Redis is
away each replica counts by itself, in memory: nobody is shut out, and nobody is unlimited either; with n replicas a
caller may come to n times the rate.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import redis
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisClusterStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import parse_url

from feature_repo.redis_commands import CLUSTER_SCHEMES
from streams.contracts.observability import logger

log = logger(__name__)

TIMEOUT_S = 0.25
"""A request waits so long for Redis at most; once one has waited in vain, none does for `PAUSE_S`."""
PAUSE_S = 1.0
"""So long after a failure Redis is not asked."""
PREFIX = "hw:limits"
AT_LEAST_S = 0.01


class RateLimits:
    """Counts calls of whoever is named.

    Parameters
    ----------
    redis_url
        As `feature_repo.redis_commands.connect` takes it.
    now
        A clock that never goes back, in seconds.
    """

    def __init__(self, redis_url: str, now: Callable[[], float] = time.monotonic) -> None:
        self._storage = _storage(redis_url)
        self._shared = SlidingWindowCounterRateLimiter(self._storage)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._now = now
        self._ask_again_at = float("-inf")

    async def wait(self, kind: str, who: str, rate: str) -> float:
        """Count one call; return 0 where it is within the rate, else the seconds after which to come again.

        Parameters
        ----------
        kind, who
            What is counted by, such as "key", and its id. Only a digest of the id goes to Redis, for customers can be
            erased.
        rate
            In the notation of `limits`.
        """
        name = hashlib.blake2b(who.encode(errors="surrogatepass"), digest_size=16).hexdigest()
        if self._now() >= self._ask_again_at:
            try:
                return await _wait(self._shared, _item(rate), kind, name)
            except (redis.RedisError, OSError, TimeoutError) as error:
                self._ask_again_at = self._now() + PAUSE_S
                log.warning("limits are counted by this replica alone", why=str(error), again_in_s=PAUSE_S)
        return await _wait(self._own, _item(rate), kind, name)

    async def close(self) -> None:
        """Leave Redis."""
        bridge: Any = self._storage.bridge  # whose type knows only what all of its kinds have
        await bridge.get_connection().aclose()


async def _wait(limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, kind: str, name: str) -> float:
    if await limiter.hit(item, kind, name):
        return 0.0
    free_at = (await limiter.get_window_stats(item, kind, name)).reset_time
    return max(AT_LEAST_S, free_at - time.time())


@lru_cache(maxsize=1024)
def _item(rate: str) -> RateLimitItem:
    return parse(rate)


def _storage(url: str) -> RedisStorage:
    # One try, and a short one: a request would rather be counted here than wait.
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }
    for scheme, plain in CLUSTER_SCHEMES.items():
        if url.startswith(scheme):
            parsed = dict(parse_url(plain + url[len(scheme) :]))  # type: ignore[no-untyped-call]
            encrypted = parsed.pop("connection_class", None) is not None
            where = f"{parsed.pop('host')}:{parsed.pop('port', 6379)}"
            parsed.pop("db", None)
            options |= parsed | ({"ssl": True} if encrypted else {})
            return RedisClusterStorage(
                f"async+redis+cluster://{where}", implementation="redispy", key_prefix=PREFIX, **options
            )
    return RedisStorage(f"async+{url}", implementation="redispy", key_prefix=PREFIX, **options)
