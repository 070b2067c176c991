"""Events a second from a synthetic shop through Kafka until every feature is written, the producer included."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Producer

from benchmarks.worker_metrics import total, wait_until
from streams.contracts.codec import encode
from streams.contracts.events import Interaction
from streams.settings import Settings

EVENTS = "headwater_events_total"


def publish(settings: Settings, events: Sequence[Interaction]) -> None:
    """Publish events as fast as Kafka takes them.

    Raises
    ------
    RuntimeError
        When some are not delivered within a minute.
    """
    producer = Producer({**settings.producer_config(), "linger.ms": 5})
    topic = settings.topics.interactions.name
    for event in events:
        while True:
            try:
                producer.produce(topic, encode(event), event.customer_id.encode())
                break
            except BufferError:
                producer.poll(0.05)
    left = producer.flush(60)
    if left:
        raise RuntimeError(f"{left} events were not delivered within 60 s")


def run(
    settings: Settings, streams_metrics: str, events: Sequence[Interaction], send: Callable[..., None] = publish
) -> dict[str, Any]:
    """Publish the events and wait until the worker has applied them all.

    Parameters
    ----------
    streams_metrics
        ``host:port`` of the stream worker's metrics.
    """
    before = total(streams_metrics, EVENTS)
    start = time.perf_counter()
    send(settings, events)
    sent = time.perf_counter() - start
    wait_until(streams_metrics, EVENTS, before + len(events), timeout_s=600)
    seconds = time.perf_counter() - start
    return {"events": len(events), "events_per_s": len(events) / seconds, "producer_seconds": sent, "seconds": seconds}
