"""Request to reply over Kafka: quietly at a steady rate, then as many as the service can answer."""

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.traffic import Tally, Traffic
from serving.client import RecommendationClient
from streams.contracts.requests import RecommendationRequest
from streams.settings import Settings


def steady(settings: Settings, customers: Sequence[str], per_second: float, seconds: float) -> Tally:
    """Send requests at a steady rate for a while."""
    traffic = Traffic(settings, customers, per_second)
    traffic.start()
    time.sleep(seconds)
    return traffic.finish()


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
    """Measure all of it: by rate p50 and p99 in milliseconds, and the saturated answers a second."""
    steady(settings, customers, rates[0], 2.0)  # connections, caches
    out: dict[str, Any] = {}
    for rate in rates:
        tally = steady(settings, customers, rate, seconds)
        out[f"at_{rate:.0f}_per_s"] = {
            "p50_ms": tally.percentile(50), "p99_ms": tally.percentile(99), "sent": tally.sent,
            "failed": tally.failed, "fallback": tally.fallbacks,
        }  # fmt: skip
    out["saturated_per_s"] = saturated(settings, customers, 1500, 32)
    return out
