"""HTTP requests at a steady rate, whatever the answers take: an open loop, so that a stall shows in the latencies.

The client is as little as keeps connections open: a large one would take as much of a small machine as the gateway.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

PATIENCE_S = 30.0


@dataclass
class Tally:
    """What came back: milliseconds from when each request was due, and how often each status."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    def percentile(self, q: float) -> float | None:
        """A percentile of the latencies in milliseconds, None without any."""
        return round(float(np.percentile(self.milliseconds, q)), 2) if self.milliseconds else None

    def figures(self) -> dict[str, Any]:
        """For the benchmark's record."""
        return {
            "p50_ms": self.percentile(50),
            "p99_ms": self.percentile(99),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
        }


def request(method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """An HTTP/1.1 request as it goes over the wire."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def post(target: str, message: Any, headers: dict[str, str] | None = None) -> bytes:
    """A POST of JSON."""
    return request(
        "POST", target, json.dumps(message).encode(), {"Content-Type": "application/json", **(headers or {})}
    )


class Connection:
    """One connection, made anew where the server closes it. For one request at a time.

    Parameters
    ----------
    patience_s
        An answer that takes longer counts as none.
    """

    def __init__(self, host: str, port: int, patience_s: float = PATIENCE_S) -> None:
        self._where = host, port
        self._patience_s = patience_s
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, raw: bytes) -> tuple[int, bytes]:
        """Send a request; status and body of the answer, status 0 where none came in time or the connection ended.

        A server may have closed a connection that lay idle: then the request is sent again, on a new one.
        """
        used = self._open is not None
        try:
            return await asyncio.wait_for(self._exchange(raw), self._patience_s)
        except TimeoutError:  # is an OSError too, but the server has the request: sent again it would be there twice
            self.close()
            return 0, b""
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            stale = used and not (isinstance(error, asyncio.IncompleteReadError) and error.partial)
            return await self.exchange(raw) if stale else (0, b"")

    async def _exchange(self, raw: bytes) -> tuple[int, bytes]:
        if self._open is None:
            self._open = await asyncio.open_connection(*self._where)
        reader, writer = self._open
        writer.write(raw)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        body = b"" if raw.startswith(b"HEAD ") else await reader.readexactly(int(length or b"0"))
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        """Hang up."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


async def steady(
    host: str,
    port: int,
    requests: Iterator[bytes],
    per_second: float,
    seconds: float,
    seen: Callable[[int, bytes], object] = lambda status, body: None,
) -> Tally:
    """Send requests at a steady rate, on as many connections as it takes, and wait for all answers.

    `seen` is told status and body of each.
    """
    tally, loop = Tally(), asyncio.get_running_loop()
    idle: list[Connection] = []
    ready = list(islice(requests, int(per_second * seconds)))
    tasks: list[asyncio.Task[None]] = []
    start = loop.time()

    async def one(raw: bytes, due: float) -> None:
        connection = idle.pop() if idle else Connection(host, port)
        status, body = await connection.exchange(raw)
        tally.milliseconds.append((loop.time() - due) * 1000)
        tally.statuses[status] += 1
        seen(status, body)
        idle.append(connection)

    def begin(raw: bytes, due: float) -> None:
        tasks.append(loop.create_task(one(raw, due)))

    def keep_time() -> None:
        for place, raw in enumerate(ready):
            due = start + place / per_second
            time.sleep(max(0.0, due - time.monotonic()))
            loop.call_soon_threadsafe(begin, raw, due)

    # In a thread: an event loop's own timers know whole milliseconds only, and would be late by one now and then.
    await asyncio.to_thread(keep_time)
    await asyncio.gather(*tasks)
    tally.seconds = loop.time() - start
    for connection in idle:
        connection.close()
    return tally


async def saturated(host: str, port: int, requests: Iterator[bytes], concurrency: int, seconds: float) -> Tally:
    """Send requests one after the other on so many connections for a while."""
    tally, end = Tally(), time.perf_counter() + seconds

    async def one() -> None:
        connection = Connection(host, port)
        while (start := time.perf_counter()) < end:
            status, _ = await connection.exchange(next(requests))
            tally.milliseconds.append((time.perf_counter() - start) * 1000)
            tally.statuses[status] += 1
        connection.close()

    start = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(concurrency)))
    tally.seconds = time.perf_counter() - start
    return tally
