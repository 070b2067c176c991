"""How long requests take, by route and status."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.contracts.observability import GATEWAY_SECONDS


class Measured:
    """ASGI middleware that observes each request; paths that no route has count as one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            path = getattr(scope.get("route"), "path", "")
            route = f"{scope['method']} {path}" if path else "no route"
            GATEWAY_SECONDS.labels(route, str(status)).observe(time.perf_counter() - started)
