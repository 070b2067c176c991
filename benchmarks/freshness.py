"""How soon an event is used: from producing a purchase to receiving the first reply that had seen it."""

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from confluent_kafka import Producer

from benchmarks.shop_process import ShopProcess
from benchmarks.withdrawal import measure as measure_withdrawal
from benchmarks.worker_metrics import total
from deploy.demo.world import World
from serving.client import RecommendationClient
from streams.contracts.codec import encode
from streams.contracts.events import Interaction, InteractionType
from streams.settings import Settings

EVENTS = "headwater_events_total"


class UnseenError(TimeoutError):
    """No reply had seen an event within the time given."""


class Publisher:
    """Publishes single interactions and waits for Kafka's word."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topics.interactions.name
        self._producer = Producer({**settings.producer_config(), "linger.ms": 0})

    def publish(self, event: Interaction) -> tuple[int, int]:
        """Publish an event; its partition and offset, once Kafka has acknowledged it."""
        placed: list[tuple[int, int]] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                raise RuntimeError(f"event {event.event_id!r} was not delivered: {error}")
            placed.append((message.partition(), message.offset()))

        self._producer.produce(self._topic, encode(event), event.customer_id.encode(), on_delivery=delivered)
        while not placed:
            self._producer.poll(0.1)
        return placed[0]


def purchase(customer_id: str, item_id: str, at: int, price: float | None = None) -> Interaction:
    """Return a purchase of one unit at `at`, milliseconds since the epoch, under a new event id."""
    return Interaction(
        event_id=uuid.uuid4().hex,
        customer_id=customer_id,
        item_id=item_id,
        type=InteractionType.PURCHASE,
        timestamp=at,
        price=price,
    )


def seconds_until_seen(
    publisher: Publisher, client: RecommendationClient, event: Interaction, timeout_s: float = 30.0
) -> float:
    """Publish an event and ask for its customer, again and again, until a reply has seen it; the seconds that took.

    Raises
    ------
    UnseenError
        When no reply has seen it in time; names the event.
    """
    start = time.perf_counter()
    _, offset = publisher.publish(event)
    while time.perf_counter() - start < timeout_s:
        reply = client.recommend(event.customer_id, deadline_ms=10_000)
        if reply.seen is not None and reply.seen.offset >= offset:
            return time.perf_counter() - start
    raise UnseenError(
        f"event {event.event_id!r} at offset {offset} was not seen by any answer within {timeout_s:.0f} s"
    )


def measure(
    settings: Settings,
    customers: Sequence[str],
    items: Sequence[str],
    at: int,
    probes: int = 100,
    pause_s: float = 0.05,
    progress: Callable[[], None] = lambda: None,
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return ``float64[probes]``: milliseconds from producing a purchase to the first reply that had seen it.

    Parameters
    ----------
    customers, items
        Who buys what, in turn.
    at
        Event time, milliseconds since the epoch.
    """
    publisher, milliseconds = Publisher(settings), []
    with RecommendationClient(settings) as client:
        client.recommend(customers[0])  # connections are made before the clock runs
        for probe in range(probes):
            event = purchase(customers[probe % len(customers)], items[probe % len(items)], at + probe)
            milliseconds.append(1000 * seconds_until_seen(publisher, client, event))
            progress()
            time.sleep(pause_s)
    return np.array(milliseconds)


def run(
    world: World, background: float = 1000.0, probes: int = 200, withdrawals: int = 20, seconds: float = 600.0
) -> dict[str, Any]:
    """Measure while other customers' events come at a steady rate.

    Parameters
    ----------
    background
        Events a second of customers who are not asked for.
    seconds
        For which they would come; they end with the measurement.

    Returns
    -------
    dict
        ``p50_ms``, ``p99_ms`` from producing an event to the first answer that had seen it; ``withdrawn_ms`` from
        deleting an item to the last answer that held it; ``background_events_per_s`` as the stream applied them.
    """
    asked = world.customers[0][:200]
    items = next(world.source.chunks(world.cut))["item_id"].unique().to_pylist()[:500]
    name = uuid.uuid4().hex[:8]  # so that nothing is a duplicate of an earlier run's
    with ShopProcess(world, background, seconds, start=world.cut + 1, without=asked, name=name):
        before, started = total(world.streams_metrics, EVENTS), time.monotonic()
        time.sleep(5.0)
        found = measure(world.settings, asked, items, world.last_event_at // 1000, probes=probes)
        gone = measure_withdrawal(
            world.settings, asked, {item.item_id: item for item in world.source.items()}, withdrawals
        )
        rate = (total(world.streams_metrics, EVENTS) - before) / (time.monotonic() - started)
    p50, p99 = np.percentile(found, [50, 99])
    return {
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "probes": len(found),
        "background_events_per_s": rate,
        "withdrawn_ms": {"p50": float(np.median(gone)), "max": float(gone.max()), "probes": len(gone)},
    }
