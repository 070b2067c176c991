"""Tries the live model with real inferences and starts it anew where it is dead."""

from __future__ import annotations

import threading

from serving.live_model import GuardedScorer, LiveModel
from serving.scorer import ScorerError
from serving.snapshot import widths
from serving.triton.client import TritonClient
from streams.contracts.observability import logger

log = logger(__name__)

EVERY_S = 2.0
PAUSE_S = 0.5


class Health:
    """A thread that probes the live model now and then, and at once when a request has failed.

    Until a probe gets a whole answer, requests do not ask the model: one that was merely slow is asked again
    milliseconds later, one that is dead is loaded anew, as often as it takes.

    Parameters
    ----------
    triton
        A client of this thread's own.
    loading
        Held while Triton loads versions, which one thread may do at a time.
    """

    def __init__(self, live: LiveModel, guard: GuardedScorer, triton: TritonClient, loading: threading.Lock) -> None:
        self._live, self._guard, self._triton, self._loading = live, guard, triton, loading
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._guard.failed.set()  # wakes it
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._guard.failed.wait(EVERY_S)
            try:
                if not self._stop.is_set() and not self.check():
                    self._stop.wait(PAUSE_S)
            except Exception:
                log.exception("health not checked")
                self._stop.wait(PAUSE_S)

    def check(self) -> bool:
        """Probe the live model, revive it if need be, let requests through if it answers; whether it does."""
        current = self._live.current
        if current is None:
            return False
        columns = widths(current.encoder)
        try:
            self._triton.probe(current.version, columns)
        except ScorerError as error:
            self._guard.failed.set()
            log.warning("model does not answer", version=current.version, why=str(error))
            try:
                with self._loading:
                    self._triton.load(current.bundle, columns)
            except ScorerError as again:
                log.warning("model not revived", version=current.version, why=str(again))
                return False
        self._guard.mend()
        return True
