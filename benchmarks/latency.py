"""Request to reply over Kafka: quietly at a steady rate, then as many as the service can answer."""

import statistics
import time
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.traffic import Tally, Traffic
from serving.client import Received, RecommendationClient
from streams.contracts.requests import RecommendationRequest, Timings
from streams.settings import Settings


def steady(settings: Settings, customers: Sequence[str], per_second: float, seconds: float) -> Tally:
    """Send requests at a steady rate for a while."""
    return _sent(settings, customers, per_second, seconds).finish()


def _sent(settings: Settings, customers: Sequence[str], per_second: float, seconds: float) -> Traffic:
    traffic = Traffic(settings, customers, per_second)
    traffic.start()
    time.sleep(seconds)
    return traffic


def inside(received: Iterable[Received]) -> dict[str, float]:
    """The median of each stage of answering, in milliseconds, as the replies tell.

    `elsewhere` is what a request and its reply spent outside the service: in Kafka, and in the client.
    """
    replies = list(received)
    if not replies:
        return {}
    timings = [each.reply.timings_ms for each in replies]
    found = {name: statistics.median(getattr(each, name) for each in timings) for name in Timings.__struct_fields__}
    found["elsewhere"] = statistics.median(
        each.milliseconds - own.queue - own.total for each, own in zip(replies, timings, strict=True)
    )
    return {name: round(value, 2) for name, value in found.items()}


def saturated(settings: Settings, customers: Sequence[str], requests: int, concurrency: int) -> float:
    """Return answers a second with `concurrency` requests always under way."""
    some = [
        RecommendationRequest(customer_id=customers[i % len(customers)], deadline_ms=60_000) for i in range(requests)
    ]
    with RecommendationClient(settings) as client:
        client.recommend(customers[0])
        start = time.perf_counter()
        answered = sum(1 for _ in client.recommend_many(some, concurrency))
        return answered / (time.perf_counter() - start)


def run(
    settings: Settings, customers: Sequence[str], rates: Sequence[float] = (20.0, 50.0), seconds: float = 20.0
) -> dict[str, Any]:
    """Measure all of it: p50 and p99 by rate, stages at the last one, in ms; saturated answers a second."""
    steady(settings, customers, rates[0], 2.0)  # connections, caches
    out: dict[str, Any] = {}
    for rate in rates:
        traffic = _sent(settings, customers, rate, seconds)
        tally = traffic.finish()
        out[f"at_{rate:.0f}_per_s"] = {
            "p50_ms": tally.percentile(50), "p99_ms": tally.percentile(99), "sent": tally.sent,
            "failed": tally.failed, "fallback": tally.fallbacks,
        }  # fmt: skip
        out["inside_p50_ms"] = inside(received for _, received in traffic.received)
    out["saturated_per_s"] = saturated(settings, customers, 1500, 32)
    return out
