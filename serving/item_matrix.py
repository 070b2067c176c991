"""Item columns as the live model takes them, encoded when an item changes and never while a request waits.

Item columns depend on the UTC day of `as_of` only, so one matrix a day serves every request of that day.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.encoder import Encoder
from feature_repo.purchases import DAY
from serving.candidates import Rows

Columns = dict[str, NDArray[Any]]
ColumnsOf = Callable[[int, Rows | None], Columns]
"""Item columns on a UTC day of the given catalogue rows, or of all."""

DAYS_KEPT = 3


class Encoded(NamedTuple):
    """Codes int32[capacity, C] and numbers float32[capacity, F] by catalogue row; from `size` on nothing is filled."""

    categorical: NDArray[np.int32]
    continuous: NDArray[np.float32]
    size: int


class ItemMatrix:
    """The item group of one encoder for all items, for the last few days asked for.

    lock: the one that guards what `columns_of` reads; held while encoding.

    Requests read while one writer refreshes: a row may be scored as it was or as it is, and what was scored is what
    the request gathered.
    """

    def __init__(self, encoder: Encoder, columns_of: ColumnsOf, lock: threading.RLock) -> None:
        self._encoder = encoder
        self._columns_of = columns_of
        self._days: OrderedDict[int, Encoded] = OrderedDict()
        self._lock = lock

    @property
    def days(self) -> list[int]:
        """UTC day numbers that are kept."""
        return list(self._days)

    def on(self, day: int) -> Encoded:
        """The matrix of a UTC day number; encodes all items where that day was not asked for lately."""
        found = self._days.get(day)
        if found is None:
            with self._lock:
                found = self._days.get(day)
                if found is None:
                    found = self._days[day] = self._encode_all(day)
                while len(self._days) > DAYS_KEPT:
                    self._days.popitem(last=False)
        return found

    def refresh(self, rows: Rows) -> None:
        """Encode the given catalogue rows anew on every day that is kept."""
        with self._lock:
            for day, encoded in list(self._days.items()):
                self._days[day] = self._encode_some(day, encoded, rows)

    def _encode_all(self, day: int) -> Encoded:
        categorical, continuous = self._encoder.encode(self._columns_of(day, None), "item")
        return Encoded(categorical, continuous, len(categorical))

    def _encode_some(self, day: int, encoded: Encoded, rows: Rows) -> Encoded:
        if len(rows) == 0:
            return encoded
        categorical, continuous = self._encoder.encode(self._columns_of(day, rows), "item")
        size = max(encoded.size, int(rows.max()) + 1)
        if size > len(encoded.categorical):
            encoded = Encoded(_grown(encoded.categorical, size), _grown(encoded.continuous, size), size)
        encoded.categorical[rows] = categorical
        encoded.continuous[rows] = continuous
        return encoded._replace(size=size)


def _grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    new = np.zeros((max(size, len(array) + len(array) // 2), array.shape[1]), array.dtype)
    new[: len(array)] = array
    return new


def day_of(as_of: int) -> int:
    """UTC day number of an instant in microseconds since the epoch."""
    return as_of // DAY
