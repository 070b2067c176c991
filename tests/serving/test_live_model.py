"""The pointer flips between requests, never within one; a failing scorer is left alone until mended."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import cast

import numpy as np
import pytest

from serving.deliveries import Deliveries
from serving.live_model import GuardedScorer, LiveModel
from serving.scorer import Nearest, ScorerError
from serving.snapshot import Snapshot


@dataclass
class Version:
    version: int


def at(version: int) -> Snapshot:
    return cast(Snapshot, Version(version))


def test_a_version_drains_after_its_last_request() -> None:
    live = LiveModel()
    with live.pinned() as nothing:
        assert nothing is None
    live.flip(at(1))
    with live.pinned() as first:
        live.flip(at(2))
        with live.pinned() as second:
            assert first is not None
            assert second is not None
            assert (first.version, second.version) == (1, 2)
        assert not live.drained(1, 0.01)
        assert live.drained(2, 0.01)
        waiter = threading.Thread(target=live.drained, args=(1, 30.0))
        waiter.start()
    waiter.join(10)
    assert not waiter.is_alive()
    assert live.drained(1, 0.0)


class Flaky:
    def __init__(self) -> None:
        self.asked = 0
        self.broken = True

    def retrieve(self, *_: object) -> Nearest:
        self.asked += 1
        if self.broken:
            raise ScorerError("gone")
        return self._nearest

    def _nearest(self) -> tuple[np.ndarray, np.ndarray]:
        if self.broken:
            raise ScorerError("gone while it was asked")
        return np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32)

    def rank(self, *_: object) -> np.ndarray:
        raise NotImplementedError


def test_one_failure_is_enough_until_mended() -> None:
    flaky = Flaky()
    guard = GuardedScorer(flaky)
    none, zeros = np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32)
    for _ in range(3):
        with pytest.raises(ScorerError):
            guard.retrieve(1, none, zeros, 1)
    assert flaky.asked == 1
    assert guard.failed.is_set()
    flaky.broken = False
    guard.mend()
    assert guard.retrieve(1, none, zeros, 1)()[0].shape == (1, 1)


def test_a_failure_after_asking_counts_too() -> None:
    flaky = Flaky()
    flaky.broken = False
    guard = GuardedScorer(flaky)
    nearest = guard.retrieve(1, np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32), 1)
    assert not guard.failed.is_set()
    flaky.broken = True
    with pytest.raises(ScorerError, match="gone while it was asked"):
        nearest()
    assert guard.failed.is_set()


def test_only_what_was_delivered_without_a_gap_is_committed() -> None:
    deliveries = Deliveries()
    first, second, third = (deliveries.begin({("t", 0): n, ("t", 1): n}) for n in (1, 2, 3))
    one, other, last = first.expect(), second.expect(), second.expect()
    assert deliveries.committable() == {}
    other(None, None)
    last(None, None)
    assert third.waiting == 0
    assert deliveries.committable() == {}
    deliveries.forget("t", 1)
    one(None, None)
    assert deliveries.committable() == {("t", 0): 3}
    assert not deliveries.open
    assert deliveries.committable() == {}
