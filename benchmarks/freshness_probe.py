"""How soon an event's features are written, seen from outside: events of customers of its own, looked up in Redis."""

import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import Producer

from feature_repo.online_store import POSITION, OnlineStore
from feature_repo.redis_commands import connect, send
from feature_repo.views import CUSTOMER
from streams.contracts.codec import encode
from streams.contracts.events import Interaction, InteractionType
from streams.settings import Settings

CUSTOMERS = 64
"""Customers who take turns, so that one's next event comes long after its last."""


@dataclass
class _Sent:
    customer: str
    at: float
    offset: int | None = None


class FreshnessProbe(threading.Thread):
    """Publishes an event every so often, and looks every few milliseconds which of them are in a customer's row.

    Parameters
    ----------
    item_id: that the events are about.
    time_of: milliseconds since the epoch that the events claim.
    """

    def __init__(
        self, settings: Settings, item_id: str, time_of: int, every_s: float = 0.2, look_s: float = 0.02
    ) -> None:
        super().__init__(name="freshness", daemon=True)
        self._settings, self._item_id, self._time_of = settings, item_id, time_of
        self._every_s, self._look_s = every_s, look_s
        self._name = f"probe-{uuid.uuid4().hex[:8]}"
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._waiting: deque[_Sent] = deque()
        self._seconds: list[float] = []
        self.sent = 0

    def run(self) -> None:
        """Publish and look until `finish` is called."""
        try:
            self._probe()
        except BaseException as error:  # told to whoever calls `finish`
            self._error = error

    def _probe(self) -> None:
        store = OnlineStore(connect(self._settings.redis_url))
        producer = Producer({**self._settings.producer_config(), "linger.ms": 0})
        due = time.monotonic()
        while not (self._stopping.is_set() and not self._waiting):
            now = time.monotonic()
            if now >= due and not self._stopping.is_set():
                self._publish(producer)
                due = max(due + self._every_s, now)
            producer.poll(0)
            self._look(store)
            time.sleep(self._look_s)

    def _publish(self, producer: Producer) -> None:
        sent = _Sent(f"{self._name}-{self.sent % CUSTOMERS}", time.perf_counter())

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                raise RuntimeError(f"a probe was not delivered: {error}")
            sent.offset = message.offset()

        event = Interaction(
            event_id=f"{self._name}-{self.sent}",
            customer_id=sent.customer,
            item_id=self._item_id,
            type=InteractionType.VIEW,
            timestamp=self._time_of,
        )
        producer.produce(
            self._settings.topics.interactions.name, encode(event), sent.customer.encode(), on_delivery=delivered
        )
        self.sent += 1
        self._waiting.append(sent)

    def _look(self, store: OnlineStore) -> None:
        """Take out those whose row has got as far as they are."""
        placed = [sent for sent in self._waiting if sent.offset is not None]
        if not placed:
            return
        keys = store.keys(CUSTOMER, [sent.customer for sent in placed])
        found = send(store.client, [(b"HGET", key, POSITION) for key in keys])
        now = time.perf_counter()
        for sent, position in zip(placed, found, strict=True):
            if position is not None and sent.offset is not None and int(position) >= sent.offset:
                self._seconds.append(now - sent.at)
                self._waiting.remove(sent)

    def stop(self) -> None:
        """Publish no more; look for those under way."""
        self._stopping.set()

    def finish(self, timeout_s: float = 60.0) -> npt.NDArray[np.float64]:
        """Stop, wait for the last ones, and return ``float64[sent]``: milliseconds from sending to being written.

        Raises
        ------
        RuntimeError
            When the probe broke off, or events were not written in time.
        """
        self.stop()
        self.join(timeout_s)
        if self._error is not None:
            raise RuntimeError(f"the freshness probe broke off: {self._error}") from self._error
        if self.is_alive():
            raise RuntimeError(f"{len(self._waiting)} of {self.sent} probes were not written in {timeout_s:.0f} s")
        return np.array(self._seconds) * 1000
