"""What every answer says to browsers: this is an API, and nobody's page, script or frame."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",  # heeded where a proxy speaks TLS for us
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeaders:
    """ASGI middleware that adds `HEADERS` where the answer says nothing itself.

    Parameters
    ----------
    cross_origin
        Whether pages of other origins may read answers at all; which ones, the CORS headers say.
    """

    def __init__(self, app: ASGIApp, *, cross_origin: bool = False) -> None:
        self._app = app
        self._headers = dict(HEADERS)
        if cross_origin:
            self._headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(self._headers, MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def on_faults_too(app: Starlette) -> None:
    """Have the answer to a fault of the program say it as well: Starlette gives that one outside of all middleware."""
    told: Callable[[Request, Exception], Any] | None = app.exception_handlers.get(Exception)
    if told is None:
        return

    async def with_headers(request: Request, error: Exception) -> Response:
        answer = told(request, error)
        response: Response = await answer if inspect.isawaitable(answer) else answer
        _add(HEADERS, response.headers)
        return response

    app.add_exception_handler(Exception, with_headers)


def _add(values: dict[str, str], headers: MutableHeaders) -> None:
    for name, value in values.items():
        headers.setdefault(name, value)
