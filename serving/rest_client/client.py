"""The gateway's clients: one that waits, one for asyncio. What they can do is in `operations`."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from tenacity import AsyncRetrying, Retrying

from serving.rest_client.call import Call
from serving.rest_client.errors import UnreachableError, refused
from serving.rest_client.operations import Operations
from serving.rest_client.retrying import policy

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"


class _Connection(Operations, ABC):
    """What both clients are configured with.

    Parameters
    ----------
    url
        Where the gateway is; default: the environment's HEADWATER_GATEWAY_URL, else http://127.0.0.1:8080.
    api_key
        An API key, or a token; default: the environment's HEADWATER_API_KEY. Without one the gateway must be open.
    attempts
        How often a call is sent at most: again where the gateway is overloaded, and where the connection fails and
        the call may be repeated.
    timeout_s
        Seconds to wait for an answer, each time.
    patience_s
        The longest that is waited between two attempts; where the gateway asks for more, its answer is raised.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        attempts: int = 4,
        timeout_s: float = 10.0,
        patience_s: float = 10.0,
    ) -> None:
        self.url = url or os.environ.get("HEADWATER_GATEWAY_URL") or DEFAULT_URL
        key = api_key or os.environ.get("HEADWATER_API_KEY")
        self._attempts, self._patience_s = attempts, patience_s
        headers = {"User-Agent": "headwater-client", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._open({"base_url": self.url, "timeout": timeout_s, "headers": headers})

    @abstractmethod
    def _open(self, options: dict[str, Any]) -> None:
        """Make the connection, not yet used; `options` are httpx's."""

    def _unreachable(self, call: Call[Any], error: httpx.TransportError) -> UnreachableError:
        why = str(error) or type(error).__name__
        hint = "is the gateway running? (headwater status)"
        return UnreachableError(f"{call}: no answer from {self.url} ({why}); {hint}")


class HeadwaterClient(_Connection):
    """A client that waits for each answer; may be shared by threads. Close it, or use it in a `with` block."""

    def _open(self, options: dict[str, Any]) -> None:
        self._http = httpx.Client(**options)

    def send(self, call: Call[T], /) -> T:
        """Send a call, again where that helps, and return its result; raises a `HeadwaterError`."""
        try:
            result: T = Retrying(**policy(call, self._attempts, self._patience_s))(self._once, call)
            return result
        except httpx.TransportError as error:
            raise self._unreachable(call, error) from error

    def _once(self, call: Call[T]) -> T:
        return _result(call, self._http.request(**_request(call)))

    def close(self) -> None:
        """Leave the gateway."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncHeadwaterClient(_Connection):
    """A client for asyncio, in one event loop. Close it, or use it in an `async with` block."""

    def _open(self, options: dict[str, Any]) -> None:
        self._http = httpx.AsyncClient(**options)

    async def send(self, call: Call[T], /) -> T:
        """Send a call, again where that helps, and return its result; raises a `HeadwaterError`."""
        try:
            return await AsyncRetrying(**policy(call, self._attempts, self._patience_s))(self._once, call)
        except httpx.TransportError as error:
            raise self._unreachable(call, error) from error

    async def _once(self, call: Call[T]) -> T:
        return _result(call, await self._http.request(**_request(call)))

    async def close(self) -> None:
        """Leave the gateway."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _request(call: Call[Any]) -> dict[str, Any]:
    """Arguments of httpx's `request`."""
    headers = {"Content-Type": "application/json"} if call.body is not None else {}
    return {"method": call.method, "url": call.target, "content": call.body, "headers": {**headers, **call.headers}}


def _result(call: Call[T], response: httpx.Response) -> T:
    if response.status_code >= 400 and response.status_code not in call.also:
        raise refused(str(call), response.status_code, response.headers, response.content)
    return call.result(response.headers, response.content)
