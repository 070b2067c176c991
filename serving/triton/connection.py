"""Requests over HTTP connections that stay open: a request goes out now, its response is awaited later.

tritonclient's own transports don't do that: over HTTP it sleeps 10 ms whenever it sends without waiting for the answer,
over gRPC it takes a thread and much more processor time. So the standard library carries what it writes and reads.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPMessage
from typing import NamedTuple

SEND_BUFFER = 1_048_576
"""Holds a request whole, so that sending it does not wait for the server to read (the kernel may grant less)."""


class ProtocolError(OSError):
    """What came is no HTTP response, or not all of one."""


class Request(NamedTuple):
    """What is posted."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class Response(NamedTuple):
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes


class Pending:
    """A response under way.

    A connection that was used before may have been closed by the server meanwhile; then the request goes out once
    more on a new one. So requests must bear being made twice.
    """

    def __init__(self, pool: Connections, request: Request, timeout_s: float) -> None:
        self._pool, self._request = pool, request
        self._deadline = time.monotonic() + timeout_s
        used = pool.idle()
        self._reused = used is not None
        self._connection = used or pool.opened(timeout_s)
        try:
            self._send()
        except ConnectionError:
            if not self._reused:
                raise
            self._again()

    def response(self) -> Response:
        """Wait for it. Raises OSError: TimeoutError, ProtocolError, or whatever became of the connection."""
        try:
            try:
                found = self._received()
            except ConnectionError:
                if not self._reused:
                    raise
                self._again()
                found = self._received()
        except BaseException as error:
            self._connection.close()
            if isinstance(error, HTTPException) and not isinstance(error, OSError):
                raise ProtocolError(f"this is no HTTP response: {error!r}") from error
            raise
        self._pool.put_back(self._connection)
        return found

    def _again(self) -> None:
        self._connection.close()
        self._reused = False
        self._pool.close()  # the others are as old
        self._connection = self._pool.opened(self._left_s())
        self._send()

    def _send(self) -> None:
        self._connection.sock.settimeout(self._left_s())
        self._connection.request("POST", *self._request)

    def _received(self) -> Response:
        connected = self._connection.sock  # http.client forgets it where this response is the connection's last
        connected.settimeout(self._left_s())
        found = self._connection.getresponse()
        connected.settimeout(self._left_s())
        return Response(found.status, found.headers, found.read())

    def _left_s(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left


class Connections:
    """Open connections to one server; as many as requests were ever under way at once. Any number of threads."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._idle: list[HTTPConnection] = []

    def begin(self, request: Request, timeout_s: float) -> Pending:
        """Send a request; no wait for the server may end after `timeout_s`. Raises OSError where there is none."""
        return Pending(self, request, timeout_s)

    def opened(self, timeout_s: float) -> HTTPConnection:
        """A new connection, for the caller alone. Raises OSError."""
        connection = HTTPConnection(self._address, timeout=timeout_s)
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return connection

    def idle(self) -> HTTPConnection | None:
        """A connection that nobody uses, for the caller alone."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def put_back(self, connection: HTTPConnection) -> None:
        """Leave a connection to others, unless the server has closed it."""
        if connection.sock is not None:
            self._idle.append(connection)

    def close(self) -> None:
        """Close what nobody uses."""
        while (connection := self.idle()) is not None:
            connection.close()
