"""Is the event loop behind? Who comes then is told so at once, instead of waiting where nobody sees the queue.

Requests that nobody has begun wait in sockets, beyond the reach of any count of ours; what tells of them is how late
the loop is at what it meant to do. An instant of it is nothing: a garbage collection, a model that is loaded. It is
behind where two looks in a row were later than anybody is kept waiting.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.gateway.answering import PATIENCE_S
from serving.gateway.problems import busy, response

EVERY_S = 0.1
"""Seconds between two looks."""


class LoopLag:
    """How late one event loop is.

    Attributes
    ----------
    behind_s
        Seconds by which both of the last two looks were late, at least.
    """

    def __init__(self) -> None:
        self.behind_s = 0.0
        self._late_s = 0.0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look from now on, for as long as the loop runs."""
        loop.call_later(EVERY_S, self._look, loop, loop.time() + EVERY_S)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.felt(loop.time() - due)
        self.start(loop)

    def felt(self, late_s: float) -> None:
        """Take note of a look that was so late."""
        self.behind_s, self._late_s = min(self._late_s, late_s), late_s


class LoadShedding:
    """ASGI middleware: answers 503 while the loop is behind.

    Parameters
    ----------
    spared
        Paths that are answered all the same.
    """

    def __init__(self, app: ASGIApp, *, lag: LoopLag, spared: Collection[str]) -> None:
        self._app, self._lag, self._spared = app, lag, spared
        self._looking = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http":
            if not self._looking:  # from the first request on, for only now the loop is there
                self._looking = True
                self._lag.start(asyncio.get_running_loop())
            behind_s = self._lag.behind_s
            if behind_s > PATIENCE_S and scope["path"] not in self._spared:
                told = busy(f"requests are begun {behind_s:.1f} s after they came", after_s=math.ceil(behind_s))
                await response(told.status_code, told.code, told.detail, told.headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)
