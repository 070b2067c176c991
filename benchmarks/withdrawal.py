"""How soon an item is gone from answers: from deleting it in the catalogue to the last answer that still holds it."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from confluent_kafka import Producer

from serving.client import RecommendationClient
from streams.contracts.codec import encode
from streams.contracts.events import Item
from streams.settings import Settings

QUIET = 20
"""Answers without the item in a row after which it counts as gone."""


class StillThereError(TimeoutError):
    """An item was still recommended long after it had been deleted."""


class Catalogue:
    """Publishes items and their deletions."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topics.items.name
        self._producer = Producer({**settings.producer_config(), "linger.ms": 0})

    def delete(self, item_id: str) -> None:
        """Publish a tombstone and wait until Kafka has it."""
        self._send(item_id, None)

    def put(self, item: Item) -> None:
        """Publish an item and wait until Kafka has it."""
        self._send(item.item_id, encode(item))

    def _send(self, item_id: str, value: bytes | None) -> None:
        self._producer.produce(self._topic, value, item_id.encode())
        if self._producer.flush(30):
            raise RuntimeError(f"item {item_id!r} was not delivered in 30 s")


def measure(
    settings: Settings, customers: Sequence[str], items: dict[str, Item], probes: int = 20, timeout_s: float = 30.0
) -> npt.NDArray[np.float64]:
    """Return ``float64[probes]``: milliseconds from deleting an item to the last answer with it; 0 if none had it.

    Each probe deletes what a customer is recommended first and asks for the same customer until it is gone; then the
    item is put back.

    Raises
    ------
    StillThereError
        When an item is still recommended `timeout_s` after its deletion.
    """
    catalogue, milliseconds = Catalogue(settings), []
    with RecommendationClient(settings) as client:
        for probe in range(probes):
            customer = customers[probe % len(customers)]
            chosen = next(each.item_id for each in client.recommend(customer, n=10).items)
            started = time.perf_counter()
            catalogue.delete(chosen)
            milliseconds.append(1000 * _seconds_until_gone(client, customer, chosen, started, timeout_s))
            catalogue.put(items[chosen])
    return np.array(milliseconds)


def _seconds_until_gone(
    client: RecommendationClient, customer: str, item_id: str, started: float, timeout_s: float
) -> float:
    last, quiet = 0.0, 0
    while quiet < QUIET:
        reply = client.recommend(customer, n=10, deadline_ms=10_000)
        quiet += 1
        if item_id in {each.item_id for each in reply.items}:
            last, quiet = time.perf_counter() - started, 0
        if last > timeout_s:
            raise StillThereError(f"item {item_id!r} is still recommended {last:.0f} s after it was deleted")
    return last
