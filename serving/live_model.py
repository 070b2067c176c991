"""The live model: one pointer that flips once the next version is loaded, tried and encoded.

A request takes the pointer once and keeps that version to its end; a version goes away after the last request that
uses it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from serving.scorer import Nearest, Scorer, ScorerError
from serving.snapshot import Snapshot


class LiveModel:
    """Holds the current snapshot and counts the requests that use each version."""

    def __init__(self) -> None:
        self._current: Snapshot | None = None
        self._in_use: Counter[int] = Counter()
        self._idle = threading.Condition()

    @property
    def current(self) -> Snapshot | None:
        """The snapshot that the next request gets; None before the first model."""
        return self._current

    @contextmanager
    def pinned(self) -> Iterator[Snapshot | None]:
        """The current snapshot, which stays loaded until the block is left."""
        with self._idle:
            snapshot = self._current
            if snapshot is not None:
                self._in_use[snapshot.version] += 1
        try:
            yield snapshot
        finally:
            if snapshot is not None:
                with self._idle:
                    self._in_use[snapshot.version] -= 1
                    self._idle.notify_all()

    def flip(self, snapshot: Snapshot) -> None:
        """Make a snapshot the current one; requests under way keep theirs."""
        with self._idle:
            self._current = snapshot

    def drained(self, version: int, timeout_s: float) -> bool:
        """Wait until no request uses `version`; False where that takes longer than `timeout_s`."""
        with self._idle:
            return self._idle.wait_for(lambda: self._in_use[version] == 0, timeout_s)


class GuardedScorer:
    """Stops asking a scorer that failed until someone has tried it: the others need not wait for it in vain.

    `failed` is set by a failure and cleared by `mend`, after which requests get through again.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.failed = threading.Event()

    def retrieve(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32], k: int
    ) -> Nearest:
        """See Scorer."""
        self._check()
        try:
            asked = self._scorer.retrieve(version, categorical, continuous, k)
        except ScorerError:
            self.failed.set()
            raise

        def nearest() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            self._check()
            try:
                return asked()
            except ScorerError:
                self.failed.set()
                raise

        return nearest

    def rank(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """See Scorer."""
        self._check()
        try:
            return self._scorer.rank(version, categorical, continuous)
        except ScorerError:
            self.failed.set()
            raise

    def mend(self) -> None:
        """Let requests through again."""
        self.failed.clear()

    def _check(self) -> None:
        if self.failed.is_set():
            raise ScorerError("the models failed a moment ago and have not answered a probe since")
