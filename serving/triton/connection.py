"""HTTP/1.1 to one server over connections that stay open: a request goes out now, its response is awaited later.

Only what Triton's endpoint needs: bodies of a known length, one request at a time on a connection. An inference over
gRPC in Python costs three times the processor time, and needs another thread to be awaited later.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping

LONGEST_HEAD = 65_536
READ_AT_ONCE = 262_144
SEND_BUFFER = 1_048_576
"""Holds a request whole, so that sending it does not wait for the server to read (the kernel may grant less)."""


class ServerGoneError(ConnectionError):
    """The server closed the connection before it answered."""


class Response:
    """A status, the headers by name in lower case, and the body."""

    def __init__(self, status: int, headers: Mapping[bytes, bytes], body: memoryview) -> None:
        self.status, self.headers, self.body = status, headers, body


class Pending:
    """A response under way.

    A connection that was used before may have been closed by the server meanwhile; then the request goes out once
    more on a new one. So requests must bear being made twice.
    """

    def __init__(self, pool: Connections, message: bytes, timeout_s: float) -> None:
        self._pool, self._message = pool, message
        self._deadline = time.monotonic() + timeout_s
        used = pool.idle()
        self._reused = used is not None
        self._socket = used or self._connected()
        try:
            self._send()
        except ConnectionError:
            self._again()

    def response(self) -> Response:
        """Wait for it. Raises OSError: TimeoutError, or whatever became of the connection."""
        try:
            try:
                found = self._received()
            except ConnectionError:
                self._again()
                found = self._received()
        except BaseException:
            self._socket.close()
            raise
        self._pool.put_back(self._socket)
        return found

    def _again(self) -> None:
        self._socket.close()
        if not self._reused:
            raise ServerGoneError("the server closed the connection")
        self._reused = False
        self._pool.close()  # the others are as old
        self._socket = self._connected()
        self._send()

    def _connected(self) -> socket.socket:
        connected = socket.create_connection(self._pool.address, self._left_s())
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return connected

    def _send(self) -> None:
        self._socket.settimeout(self._left_s())
        self._socket.sendall(self._message)

    def _left_s(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left

    def _received(self) -> Response:
        content = bytearray()
        while (end := content.find(b"\r\n\r\n")) < 0:
            if len(content) > LONGEST_HEAD:
                raise OSError(f"a response's head is longer than {LONGEST_HEAD} bytes")
            content += self._part()
        status, headers = _head(bytes(content[:end]))
        body = content[end + 4 :]
        length = int(headers.get(b"content-length", b"0"))
        while len(body) < length:
            body += self._part()
        return Response(status, headers, memoryview(body))

    def _part(self) -> bytes:
        self._socket.settimeout(self._left_s())
        part = self._socket.recv(READ_AT_ONCE)
        if not part:
            raise ServerGoneError("the server closed the connection")
        return part


class Connections:
    """Open connections to one server; as many as requests were ever under way at once. Any number of threads."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = host, int(port)
        self._host = address.encode()
        self._idle: list[socket.socket] = []

    def begin(
        self, path: str, body: Iterable[bytes | memoryview], timeout_s: float, headers: Iterable[tuple[str, int]] = ()
    ) -> Pending:
        """Send a POST; the whole exchange may take `timeout_s`. Raises OSError where there is no server."""
        parts = list(body)
        length = sum(map(len, parts))
        more = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"POST {path} HTTP/1.1\r\n{more}Content-Length: {length}\r\nHost: ".encode() + self._host + b"\r\n\r\n"
        return Pending(self, b"".join([head, *parts]), timeout_s)

    def idle(self) -> socket.socket | None:
        """A connection that nobody uses, for the caller alone."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def put_back(self, connected: socket.socket) -> None:
        """Leave a connection to others."""
        self._idle.append(connected)

    def close(self) -> None:
        """Close what nobody uses."""
        while (connected := self.idle()) is not None:
            connected.close()


def _head(text: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = text.split(b"\r\n")
    try:
        status = int(first.split(b" ", 2)[1])
    except (IndexError, ValueError):
        raise OSError(f"this is no HTTP response: {first[:80]!r}") from None
    pairs = (line.partition(b":") for line in lines)
    return status, {name.strip().lower(): value.strip() for name, _, value in pairs}
