"""The learning rate over a run: a cosine from its height down to a twentieth, set from outside the traced graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

FLOOR = 0.05

Progress = Callable[[str, float], None]
"""Told a phase's name and how much of it is done, 0 to 1."""


class CosineRate(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """Lowers the learning rate batch by batch and reports how far the phase has come.

    Parameters
    ----------
    rate
        Learning rate of the first batch.
    steps
        Batches of the whole run.
    """

    def __init__(self, rate: float, steps: int, phase: str, progress: Progress) -> None:
        super().__init__()
        self._rate, self._steps, self._phase, self._progress = rate, max(steps, 1), phase, progress
        self._done = 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the batch's rate."""
        share = min(self._done / self._steps, 1.0)
        rate = self._rate * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * share)))
        tf.keras.backend.set_value(self.model.optimizer.learning_rate, rate)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count the batch."""
        self._done += 1
        self._progress(self._phase, self._done / self._steps)
