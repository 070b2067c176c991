"""Offsets to commit: a request is done once everything that was sent because of it is in Kafka."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from streams.contracts.observability import logger

log = logger(__name__)

Offsets = Mapping[tuple[str, int], int]
"""Topic and partition → next offset to read."""


class Delivery:
    """One batch of requests: how many records sent because of it are still on their way."""

    def __init__(self, offsets: Offsets) -> None:
        self.offsets = offsets
        self.waiting = 0

    def expect(self) -> Callable[[Any, Any], None]:
        """The callback of one record to be sent.

        A record that cannot be delivered (its reply topic does not exist, it is too large) is logged and done with:
        waiting for it would hold up every request after it.
        """
        self.waiting += 1

        def delivered(error: Any, message: Any) -> None:
            self.waiting -= 1
            if error is not None:
                log.error("not delivered", topic=message.topic(), partition=message.partition(), why=str(error))

        return delivered


class Deliveries:
    """Batches in the order they were read; what may be committed is the done ones at the front."""

    def __init__(self) -> None:
        self._open: deque[Delivery] = deque()

    def begin(self, offsets: Offsets) -> Delivery:
        """A new batch, read up to `offsets`."""
        delivery = Delivery(offsets)
        self._open.append(delivery)
        return delivery

    @property
    def open(self) -> bool:
        """Whether anything is still on its way."""
        return bool(self._open)

    def committable(self) -> dict[tuple[str, int], int]:
        """Offsets of the batches done since the last call, up to the first that is not."""
        done: dict[tuple[str, int], int] = {}
        while self._open and not self._open[0].waiting:
            done.update(self._open.popleft().offsets)
        return done

    def forget(self, topic: str, partition: int) -> None:
        """Commit nothing more for a partition that another consumer reads now."""
        for delivery in self._open:
            delivery.offsets = {key: value for key, value in delivery.offsets.items() if key != (topic, partition)}
