"""Calibration: a score that says 0.2 is meant to be bought one time in five (Platt, 1999).

The ranker learns from candidates with most of those that were refused left out, so it expects too much. On customers
whom it never learned from, with all of their candidates, a line through the log-odds is fitted: it keeps the order.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float32]

ENOUGH = 50
"""Bought candidates, and refused ones, below which nothing is fitted."""

NEAREST = 1e-6
"""How near a probability may come to 0 and to 1 before its log-odds are taken."""

BINS = 10


class Calibration(msgspec.Struct, frozen=True):
    """A line through the log-odds; as made without arguments it changes nothing."""

    slope: float = 1.0
    shift: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        return (self.slope, self.shift) != (1.0, 0.0)

    def of(self, probability: Floats) -> Floats:
        """float32[m] -> float32[m], in the same order."""
        if not self.changes:
            return probability
        odds = self.slope * log_odds(probability) + self.shift
        return np.asarray(1.0 / (1.0 + np.exp(-odds)), np.float32)


UNCALIBRATED = Calibration()


def log_odds(probability: Floats) -> Floats:
    """float32[m], finite."""
    p = np.clip(probability, np.float32(NEAREST), np.float32(1.0 - NEAREST))
    return np.asarray(np.log(p / (1 - p)), np.float32)


def fitted(label: Floats, probability: Floats) -> Calibration:
    """Fit to labels, 0 or 1; nothing is changed where there are too few, or where the scores say nothing."""
    bought = int(label.sum())
    if min(bought, len(label) - bought) < ENOUGH:
        return UNCALIBRATED
    line = LogisticRegression(C=np.inf).fit(log_odds(probability)[:, None], label > 0)
    slope, shift = float(line.coef_[0, 0]), float(line.intercept_[0])
    return Calibration(slope, shift) if slope > 0 else UNCALIBRATED


def calibration_error(label: Floats, probability: Floats) -> float:
    """Expected calibration error: the mean distance of what is said from what comes true, over ten bins of one size.

    NaN without any row.
    """
    if not len(label):
        return float("nan")
    order = np.argsort(probability, kind="stable")
    bins = [rows for rows in np.array_split(order, BINS) if len(rows)]
    apart = [abs(float(probability[rows].mean()) - float(label[rows].mean())) * len(rows) for rows in bins]
    return float(sum(apart) / len(label))
