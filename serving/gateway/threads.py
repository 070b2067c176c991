"""Calls that block (Redis, searching) beside the event loop: a few at a time, and not endlessly many in waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from serving.gateway.problems import busy

T = TypeVar("T")

THREADS = 8
WAITING = 128
"""Calls in all; while Redis hangs, who comes beyond that is told at once instead of waiting in vain."""


class Threads:
    """Threads of one event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="blocking")
        self._calls = 0

    async def run(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Return what the call returns, or raise what it raises.

        Raises
        ------
        Problem
            503: too many are waiting.
        """
        if self._calls >= WAITING:
            raise busy(f"{self._calls} calls wait for Redis already")
        self._calls += 1
        try:
            call = asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *arguments, **options))
            call.add_done_callback(self._ended)  # also when nobody waits for it any more
        except BaseException:
            self._calls -= 1
            raise
        return await call

    def _ended(self, _: object) -> None:
        self._calls -= 1
