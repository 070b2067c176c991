"""Requests over connections that stay open, against a server that does what a test tells it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from serving.triton.connection import Connections, Pending, ProtocolError, Request

Handler = Callable[[socket.socket, int], None]


@contextmanager
def listening(handle: Handler) -> Iterator[str]:
    """The address of a server. Every connection gets a thread that calls `handle` with it and its number."""
    with socket.create_server(("127.0.0.1", 0)) as server_socket:
        threads: list[threading.Thread] = []

        def serve(connected: socket.socket, number: int) -> None:
            with connected:
                handle(connected, number)

        def accept() -> None:
            while True:
                try:
                    connected, _ = server_socket.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=serve, args=(connected, len(threads)), daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"127.0.0.1:{server_socket.getsockname()[1]}"
        server_socket.shutdown(socket.SHUT_RDWR)
        accepting.join(10)


@contextmanager
def server(handle: Handler) -> Iterator[Connections]:
    with listening(handle) as address:
        connections = Connections(address)
        yield connections
        connections.close()


def read(connected: socket.socket) -> bytes | None:
    """The body of the next request; None where the client has left."""
    content = b""
    while b"\r\n\r\n" not in content:
        part = connected.recv(65536)
        if not part:
            return None
        content += part
    head, _, body = content.partition(b"\r\n\r\n")
    [length] = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
    while len(body) < length:
        body += connected.recv(65536)
    return body


def reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nX-Kind: echo\r\n\r\n%s" % (status, len(body), body)


def echo(connected: socket.socket, _: int) -> None:
    while (body := read(connected)) is not None:
        connected.sendall(reply(body))


def ask(connections: Connections, body: bytes, timeout_s: float = 10.0) -> Pending:
    return connections.begin(Request("/path", body, {}), timeout_s)


def test_answers_come_in_any_order_over_connections_that_are_used_again() -> None:
    numbers: set[int] = set()

    def counted(connected: socket.socket, number: int) -> None:
        numbers.add(number)
        echo(connected, number)

    with server(counted) as connections:
        for turn in range(3):
            large = bytes(range(256)) * 2000
            first, second = ask(connections, b"one %d" % turn), ask(connections, large)
            found = second.response()
            assert (found.status, found.body, found.headers[b"x-kind"]) == (200, large, b"echo")
            assert first.response().body == b"one %d" % turn
    assert numbers == {0, 1}


def test_a_response_may_come_in_pieces() -> None:
    def slowly(connected: socket.socket, _: int) -> None:
        while (body := read(connected)) is not None:
            for byte in reply(body, b"500 No"):
                connected.sendall(bytes([byte]))

    with server(slowly) as connections:
        found = ask(connections, b"why?").response()
        assert (found.status, found.body) == (500, b"why?")


def test_a_connection_that_was_closed_meanwhile_costs_no_request() -> None:
    def once(connected: socket.socket, _: int) -> None:
        body = read(connected)
        assert body is not None
        connected.sendall(reply(body))

    with server(once) as connections:
        for turn in range(20):
            assert ask(connections, b"%d" % turn).response().body == b"%d" % turn


def test_a_server_that_hangs_up_at_once_is_not_asked_for_ever() -> None:
    asked: list[int] = []

    def rudely(connected: socket.socket, number: int) -> None:
        asked.append(number)
        read(connected)

    with server(rudely) as connections:
        pending = ask(connections, b"x")
        with pytest.raises(ConnectionResetError, match="said nothing"):
            pending.response()
        assert asked == [0]


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_asked() -> None:
    done = threading.Event()

    def silently(connected: socket.socket, _: int) -> None:
        read(connected)
        done.wait(10)

    with server(silently) as connections:
        pending = ask(connections, b"x", timeout_s=0.05)
        with pytest.raises(TimeoutError):
            pending.response()
        assert connections.idle() is None
        done.set()


def test_a_connection_that_the_server_says_it_closes_is_not_used_again() -> None:
    def last(connected: socket.socket, number: int) -> None:
        read(connected)
        connected.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n%d" % number)

    with server(last) as connections:
        for turn in range(3):
            assert ask(connections, b"x").response().body == b"%d" % turn
            assert connections.idle() is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"hello\r\n\r\n", "this is no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: one\r\n\r\n", "this is no HTTP response"),
        (reply(b"all of it")[:-3], "in the middle of a response"),
    ],
)
def test_what_is_no_http_is_an_error(said: bytes, why: str) -> None:
    def babble(connected: socket.socket, _: int) -> None:
        read(connected)
        connected.sendall(said)

    with server(babble) as connections:
        pending = ask(connections, b"x")
        with pytest.raises(ProtocolError, match=why):
            pending.response()


def test_nobody_listening_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        ask(Connections(f"127.0.0.1:{port}"), b"x")
