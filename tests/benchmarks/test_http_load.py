"""The benchmark's HTTP client counts what a server really answers, and from when each request was due."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.bad_requests import bad_requests
from benchmarks.http_load import Connection, Tally, post, request, saturated, steady

Work = Callable[[str, int], Awaitable[Tally]]


def served(
    work: Work, status: str = "200 OK", wait_s: float = 0.0, close: bool = False, late: tuple[str, float] = ("", 0.0)
) -> tuple[Tally, list[str]]:
    """What `work` counts of a server that answers everything so, and the request lines that the server saw.

    late: a path whose answer takes so many seconds.
    """
    seen: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                await reader.readexactly(int(head.partition("Content-Length: ")[2].partition("\r\n")[0]))
                seen.append(head.partition("\r\n")[0])
                await asyncio.sleep(late[1] if head.split()[1] == late[0] else wait_s)
                if close:
                    return
                body = b"" if head.startswith("HEAD") else b"ok"
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n".encode() + body)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    async def both() -> Tally:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        async with server:
            return await work(host, port)

    return asyncio.run(both()), seen


def asking(method: str = "GET") -> Any:
    return itertools.cycle([request(method, "/here"), post("/there", {"a": 1})])


def test_a_steady_load_sends_what_it_says_and_counts_what_comes() -> None:
    bodies: list[bytes] = []
    tally, seen = served(lambda host, port: steady(host, port, asking(), 200, 0.1, lambda _, body: bodies.append(body)))
    assert tally.statuses == {200: 20}
    assert (seen.count("GET /here HTTP/1.1"), seen.count("POST /there HTTP/1.1")) == (10, 10)
    assert bodies == [b"ok"] * 20
    assert tally.figures()["statuses"] == {"200": 20}


def test_a_server_that_is_slow_is_asked_at_the_same_rate_all_the_same() -> None:
    """The loop is open: twenty requests are under way at once where each takes longer than all of them are apart."""
    tally, _ = served(lambda host, port: steady(host, port, asking(), 400, 0.05), wait_s=0.2)
    assert tally.statuses == {200: 20}
    assert tally.seconds < 20 * 0.2
    assert min(tally.milliseconds) >= 199


def test_other_statuses_and_lost_connections_are_counted() -> None:
    tally, _ = served(lambda host, port: saturated(host, port, asking("HEAD"), 2, 0.1), status="503 Busy")
    assert set(tally.statuses) == {503}
    tally, _ = served(lambda host, port: steady(host, port, asking(), 50, 0.1), close=True)
    assert tally.statuses == {0: 5}


def test_what_is_not_answered_in_time_is_not_sent_again() -> None:
    async def work(host: str, port: int) -> Tally:
        connection, tally = Connection(host, port, patience_s=0.2), Tally()
        for raw in (request("GET", "/soon"), request("GET", "/late"), request("GET", "/soon")):
            status, _ = await connection.exchange(raw)
            tally.statuses[status] += 1
        connection.close()
        return tally

    tally, seen = served(work, late=("/late", 0.6))
    assert tally.statuses == {200: 2, 0: 1}
    assert [line.split()[1] for line in seen] == ["/soon", "/late", "/soon"]


def test_bad_requests_are_the_same_in_every_run_and_of_every_kind() -> None:
    first = list(itertools.islice(bad_requests(1), 500))
    assert first == list(itertools.islice(bad_requests(1), 500))
    assert len(set(first)) > 450
    methods = {raw.partition(b" ")[0] for raw in first}
    assert {b"GET", b"POST", b"DELETE", b"BREW"} <= methods
    assert all(raw.count(b"\r\n\r\n") >= 1 for raw in first)
