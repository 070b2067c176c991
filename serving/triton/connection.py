"""Requests over HTTP connections that stay open: a request goes out now, its response is awaited later.

tritonclient's own transports don't do that: over HTTP it sleeps 10 ms whenever it sends without waiting for the answer,
over gRPC it takes a thread and much more processor time. So a socket carries what it writes and reads; the parser of
responses is uvicorn's (httptools), for http.client's reads headers as those of an e-mail.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import NamedTuple

from httptools import HttpParserError, HttpResponseParser

SEND_BUFFER = 1_048_576
"""Holds a request whole, so that sending it does not wait for the server to read (the kernel may grant less)."""

RECEIVE_BYTES = 65_536


class ProtocolError(OSError):
    """What came is no HTTP response, or not all of one."""


class Request(NamedTuple):
    """What is posted."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class Response(NamedTuple):
    """What came back, headers as they came but for their names, which are in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class _Reader:
    """Puts a response together from what comes; httptools calls the methods that begin with `on_`.

    Attributes
    ----------
    begun, complete
        Whether any of it has come, and all of it.
    stays_open
        Whether the server keeps the connection after it.
    """

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self.begun = False
        self.complete = self.stays_open = False

    def feed(self, part: bytes) -> None:
        """Take in some bytes; raises ProtocolError."""
        self.begun = True
        try:
            self._parser.feed_data(part)
        except HttpParserError as error:
            raise ProtocolError(f"this is no HTTP response: {error}") from error

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.complete, self.stays_open = True, self._parser.should_keep_alive()

    def response(self) -> Response:
        """What has come, once it is complete."""
        return Response(self._parser.get_status_code(), self._headers, b"".join(self._body))


class Pending:
    """A response under way.

    A connection that was used before may have been closed by the server meanwhile; then the request goes out once
    more on a new one. So requests must bear being made twice.
    """

    def __init__(self, pool: Connections, request: Request, timeout_s: float) -> None:
        self._pool = pool
        self._deadline = time.monotonic() + timeout_s
        self._message = _message(pool.address, request)
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
        except BaseException:
            self._connection.close()
            raise
        if found.stays_open:
            self._pool.put_back(self._connection)
        else:
            self._connection.close()
        return found.response()

    def _again(self) -> None:
        self._connection.close()
        self._reused = False
        self._pool.close()  # the others are as old
        self._connection = self._pool.opened(self._left_s())
        self._send()

    def _send(self) -> None:
        self._connection.settimeout(self._left_s())
        try:
            self._connection.sendall(self._message)
        except BaseException:
            self._connection.close()
            raise

    def _received(self) -> _Reader:
        found = _Reader()
        while not found.complete:
            self._connection.settimeout(self._left_s())
            part = self._connection.recv(RECEIVE_BYTES)
            if not part:
                if found.begun:
                    raise ProtocolError("the server hung up in the middle of a response")
                raise ConnectionResetError("the server hung up and said nothing")
            found.feed(part)
        return found

    def _left_s(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left


class Connections:
    """Open connections to one server; as many as requests were ever under way at once. Any number of threads.

    Parameters
    ----------
    address
        Host and port, `host:port` or `[host]:port`.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        host, _, port = address.rpartition(":")
        self._where = host.strip("[]"), int(port)
        self._idle: list[socket.socket] = []

    def begin(self, request: Request, timeout_s: float) -> Pending:
        """Send a request; no wait for the server may end after `timeout_s`. Raises OSError where there is none."""
        return Pending(self, request, timeout_s)

    def opened(self, timeout_s: float) -> socket.socket:
        """A new connection, for the caller alone. Raises OSError."""
        connection = socket.create_connection(self._where, timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return connection

    def idle(self) -> socket.socket | None:
        """A connection that nobody uses, for the caller alone."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def put_back(self, connection: socket.socket) -> None:
        """Leave a connection to others."""
        self._idle.append(connection)

    def close(self) -> None:
        """Close what nobody uses."""
        while (connection := self.idle()) is not None:
            connection.close()


def _message(host: str, request: Request) -> bytes:
    """A POST as it goes over the wire, in one piece: a head that comes alone wakes the server for nothing."""
    headers = {"Host": host, "Content-Length": str(len(request.body)), **request.headers}
    head = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"POST {request.path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + request.body
