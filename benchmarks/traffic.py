"""Requests at a steady rate, whatever the answers take: an open loop, so that a stall shows in the latencies."""

import threading
import time
from collections.abc import Iterable, Sequence
from itertools import cycle

import numpy as np

from serving.client import Received, RecommendationClient
from streams.contracts.requests import RecommendationRequest, Status
from streams.settings import Settings


class Traffic(threading.Thread):
    """Sends requests from a thread of its own until stopped, and keeps what came back.

    Parameters
    ----------
    settings
        Where Kafka is.
    customers
        Asked for in turn, without end.
    per_second
        Requests a second.
    patience_s
        Seconds to wait for the last replies after the stop; what has not come by then failed.
    """

    def __init__(
        self, settings: Settings, customers: Sequence[str], per_second: float, n: int = 10, patience_s: float = 30.0
    ) -> None:
        super().__init__(name="traffic", daemon=True)
        self._settings, self._customers, self._interval, self._n = settings, customers, 1.0 / per_second, n
        self._patience_s = patience_s
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self.sent = 0
        self.received: list[tuple[float, Received]] = []
        """Wall clock of receipt, and what was received."""

    def run(self) -> None:
        """Send and receive until `finish` is called."""
        try:
            with RecommendationClient(self._settings) as client:
                self._send_until_stopped(client)
                deadline = time.monotonic() + self._patience_s
                while client.outstanding and time.monotonic() < deadline:
                    self._receive(client, 0.1)
        except BaseException as error:  # told to whoever calls `finish`
            self._error = error

    def _send_until_stopped(self, client: RecommendationClient) -> None:
        customers, due = cycle(self._customers), time.monotonic()
        while not self._stopping.is_set():
            now = time.monotonic()
            while due <= now:
                client.send(RecommendationRequest(customer_id=next(customers), n=self._n, deadline_ms=10_000))
                self.sent += 1
                due += self._interval
            self._receive(client, max(0.0, due - time.monotonic()))

    def _receive(self, client: RecommendationClient, timeout_s: float) -> None:
        now = time.time()
        self.received.extend((now, received) for received in client.receive(timeout_s))

    def finish(self) -> "Tally":
        """Stop, wait for the replies under way, and count."""
        self._stopping.set()
        self.join()
        if self._error is not None:
            raise RuntimeError(f"traffic broke off: {self._error}") from self._error
        return Tally.of(self.sent, [received for _, received in self.received])


class Tally:
    """Requests counted by what became of them, and their latencies in milliseconds."""

    def __init__(self, sent: int, answered: int, errors: int, fallbacks: int, milliseconds: Sequence[float]) -> None:
        self.sent, self.answered, self.errors, self.fallbacks = sent, answered, errors, fallbacks
        self.milliseconds = np.array(milliseconds, dtype=np.float64)

    @classmethod
    def of(cls, sent: int, received: Iterable[Received]) -> "Tally":
        """Count distinct replies."""
        replies = list(received)
        return cls(
            sent=sent,
            answered=len({each.reply.correlation_id for each in replies}),
            errors=sum(each.reply.status is Status.ERROR for each in replies),
            fallbacks=sum(each.reply.status is Status.FALLBACK for each in replies),
            milliseconds=[each.milliseconds for each in replies],
        )

    @property
    def failed(self) -> int:
        """Requests without a reply, or with an error for one."""
        return self.sent - self.answered + self.errors

    def percentile(self, q: float) -> float | None:
        """Return a percentile of the latencies in milliseconds, None without any."""
        return float(np.percentile(self.milliseconds, q)) if len(self.milliseconds) else None
