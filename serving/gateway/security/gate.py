"""The gate: nothing behind it is reached by anybody unknown, whatever a route says or forgets to say.

It stands before the routes and before any body is read: bad credentials and callers beyond their rate cost a hash and
a count, not the parsing of what they sent.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway.problems import Problem, response
from serving.gateway.security import audit
from serving.gateway.security.principal import Principal
from serving.gateway.security.security import Security

OPEN = frozenset({"/health/live", "/health/ready"})
"""Paths that need no key; they tell nothing but state."""

POLICY_VIOLATION = 1008


class Gate:
    """ASGI middleware: finds out who calls, counts the call, and writes the audit log."""

    def __init__(self, app: ASGIApp, *, security: Security) -> None:
        self._app, self._security = app, security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                await self._security.close()
        else:  # there are no websockets here
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        status, principal = 500, None

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            principal = await self._admitted(Headers(scope=scope))
            scope.setdefault("state", {})["principal"] = principal
            await self._security.key_limit(principal)
        except Problem as problem:
            refused = response(problem.status_code, problem.code, problem.detail, problem.headers, **problem.extra)
            await refused(scope, receive, noted)
        else:
            await self._app(scope, receive, noted)
        finally:
            if audit.audited(scope["method"], scope["path"]):
                self._audit(scope, status, principal)

    async def _admitted(self, headers: Headers) -> Principal:
        return await self._security.authenticate(
            headers.getlist("authorization"), headers.getlist("x-api-key"), headers.get("host", "")
        )

    def _audit(self, scope: Scope, status: int, principal: Principal | None) -> None:
        path = scope.get("raw_path", b"").decode("ascii", "replace")
        address = scope["client"][0] if scope.get("client") else ""
        audit.record(scope["method"], path, status, principal, address, scope.get("state", {}).get("about"))
