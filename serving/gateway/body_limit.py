"""A bound on the size of request bodies, whether their length is declared or not."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway.problems import Problem, response


class BodyLimit:
    """ASGI middleware: answers 413 to a declared length above the limit, and where more comes than was declared."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if declared.isdigit() and int(declared) > self._limit:
            problem = self._problem(f"the body has {int(declared)} bytes")
            await response(problem.status_code, problem.code, problem.detail)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._problem("the body goes on")
            return message

        await self._app(scope, counted, send)

    def _problem(self, what: str) -> Problem:
        return Problem(413, "too_large", f"{what}; at most {self._limit} bytes are taken")
