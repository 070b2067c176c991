"""The gateway: recommendations at a steady rate, interactions in bulk, and what bad requests do to the good ones."""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import psutil

from benchmarks.bad_requests import bad_requests
from benchmarks.http_load import Connection, Tally, post, request, saturated, steady
from deploy.demo.world import World
from deploy.stack import processes
from deploy.stack.workers import Gateway
from streams.contracts.codec import decode
from streams.contracts.requests import Reply, Status, Timings

BAD = 10_000
BAD_PER_SECOND = 250.0
GOOD_PER_SECOND = 50.0
BULK = 500
PUTS = 100
IDLE_S = 2.0
"""After so long the gateway has noticed that connections are gone."""
Say = Callable[[str], None]


def recommendations(customers: Sequence[str], headers: dict[str, str]) -> Iterator[bytes]:
    """Requests for one customer after the other, without end."""
    for customer in itertools.cycle(customers):
        yield request("GET", f"/customers/{quote(customer, safe='')}/recommendations?deadline_ms=10000", b"", headers)


def bulk_posts(customers: Sequence[str], items: Sequence[str], at: int, headers: dict[str, str]) -> Iterator[bytes]:
    """Posts of views by many customers, without end; `at` in milliseconds since the epoch."""
    customer, item = itertools.cycle(customers), itertools.cycle(items)
    while True:
        run = uuid.uuid4().hex
        events = [
            {"event_id": f"{run}-{place}", "customer_id": next(customer), "item_id": next(item), "type": "view",
             "timestamp": at}
            for place in range(BULK)
        ]  # fmt: skip
        yield post("/interactions/bulk", {"interactions": events}, headers)


def stages(bodies: Sequence[bytes]) -> dict[str, float]:
    """The median of each stage of answering, in milliseconds, as the answers tell; `total` is without the queue."""
    timings = [decode(body, Reply).timings_ms for body in bodies]
    return {
        name: round(statistics.median(getattr(each, name) for each in timings), 2) for name in Timings.__struct_fields__
    }


class Bench:
    """Measures one running gateway."""

    def __init__(self, world: World, say: Say) -> None:
        self._say = say
        where = urlsplit(world.environment["HEADWATER_GATEWAY_URL"])
        self._host, self._port = where.hostname or "", where.port or 80
        key = os.environ.get("HEADWATER_API_KEY")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._customers = world.customers[0]
        self._records = [record for record in world.records(world.settings.topics.items) if record.value][:5000]
        self._items = [record.key.decode() for record in self._records]
        self._at = world.last_event_at // 1000
        record = processes.load(Gateway(world.site).pid_file)
        process = record.process() if record else None
        if process is None:
            raise RuntimeError("the gateway does not run; the stack's log says why")
        self._process: psutil.Process = process

    async def run(self, seconds: float = 20.0) -> dict[str, Any]:
        """Measure all of it, in an order in which nothing disturbs what comes next."""
        await self._good(30.0)  # connections, caches, what the broker compiles; the stack has only just started
        wrong = list(itertools.islice(bad_requests(7), BAD))  # made beforehand: the machine is the gateway's
        bodies: list[bytes] = []
        processor = self._processor_s()
        before = await self._good(seconds, bodies)
        processor = self._processor_s() - processor
        if before.statuses[200] < 0.5 * before.statuses.total():
            raise RuntimeError(f"of good requests too few were answered 200: {dict(before.statuses)}")
        self._say(f"before: p50 {before.percentile(50)} ms, p99 {before.percentile(99)} ms")
        memory, files = self._process.memory_info().rss, self._process.num_fds()
        bad, during = await asyncio.gather(self._bad(iter(wrong)), self._good(BAD / BAD_PER_SECOND))
        self._say(f"beside bad requests: p50 {during.percentile(50)} ms, p99 {during.percentile(99)} ms")
        after = await self._good(seconds)
        self._say(f"after: p50 {after.percentile(50)} ms, p99 {after.percentile(99)} ms")
        await asyncio.sleep(IDLE_S)
        grown = {
            "memory_mib": round((self._process.memory_info().rss - memory) / 2**20, 1),
            "file_descriptors": self._process.num_fds() - files,
        }
        puts = await self._puts()
        most = await saturated(self._host, self._port, self._asking(), 16, seconds / 2)
        ingested = await self._ingest(seconds / 2)
        inside = stages(bodies)
        return {
            f"at_{GOOD_PER_SECOND:.0f}_per_s": before.figures(),
            "processor_ms_per_answer": round(1000 * processor / before.statuses.total(), 2),
            "fallbacks": sum(decode(body, Reply).status is not Status.OK for body in bodies),
            "inside_p50_ms": inside,
            "gateway_adds_p50_ms": round((before.percentile(50) or 0.0) - inside["queue"] - inside["total"], 2),
            "item_put": puts.figures(),
            "saturated_per_s": round(most.statuses[200] / most.seconds, 1),
            "bulk_interactions_per_s": ingested,
            "bad_requests": {
                "server_errors": sum(count for status, count in bad.statuses.items() if status in (0, 500)),
                "statuses": {str(status): count for status, count in sorted(bad.statuses.items())},
            },
            "good_beside_bad": during.figures(),
            "good_after_bad": after.figures(),
            "p99_after_over_before": _ratio(after, before),
            "p99_beside_over_before": _ratio(during, before),
            "grown": grown,
        }

    def _processor_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _asking(self) -> Iterator[bytes]:
        return recommendations(self._customers, self._headers)

    async def _good(self, seconds: float, bodies: list[bytes] | None = None) -> Tally:
        def seen(status: int, body: bytes) -> None:
            if bodies is not None and status == 200:
                bodies.append(body)

        return await steady(self._host, self._port, self._asking(), GOOD_PER_SECOND, seconds, seen)

    async def _bad(self, requests: Iterator[bytes]) -> Tally:
        return await steady(self._host, self._port, requests, BAD_PER_SECOND, BAD / BAD_PER_SECOND)

    async def _puts(self) -> Tally:
        """Items put as they are already, one after the other; each is answered once it can be read."""
        tally, connection = Tally(), Connection(self._host, self._port)
        for record in self._records[:PUTS]:
            target = f"/items/{quote(record.key.decode(), safe='')}"
            start = time.perf_counter()
            status, _ = await connection.exchange(request("PUT", target, record.value or b"{}", self._headers))
            tally.milliseconds.append((time.perf_counter() - start) * 1000)
            tally.statuses[status] += 1
        connection.close()
        return tally

    async def _ingest(self, seconds: float) -> float:
        """Interactions a second that Kafka has acknowledged, from two clients that post one after the other."""
        posts = itertools.islice(bulk_posts(self._customers, self._items, self._at, self._headers), 400)
        ready = itertools.cycle(list(itertools.islice(posts, 60)))  # made beforehand: the machine is the gateway's
        accepted, end = 0, time.perf_counter() + seconds

        async def one() -> None:
            nonlocal accepted
            connection = Connection(self._host, self._port)
            while time.perf_counter() < end:
                status, body = await connection.exchange(next(ready))
                if status != 202:
                    raise RuntimeError(f"a bulk post was answered {status}: {body[:300]!r}")
                accepted += BULK
            connection.close()

        start = time.perf_counter()
        await asyncio.gather(one(), one())
        return round(accepted / (time.perf_counter() - start), 1)


def _ratio(now: Tally, before: Tally) -> float | None:
    first, second = before.percentile(99), now.percentile(99)
    return round(second / first, 2) if first and second else None


def run(world: World, say: Say = lambda _: None) -> dict[str, Any]:
    """Measure the gateway of a running stack."""
    return asyncio.run(Bench(world, say).run())
