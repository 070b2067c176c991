"""Item columns as the live model takes them, encoded once and not while a request waits.

Item columns depend on the UTC day of `as_of` only, so one matrix a day serves every request of that day. A matrix is
filled ahead, off the request path; of a day that nobody has prepared for, a request encodes its own candidates only,
so that neither a new day nor a million items ever stalls one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.encoder import Encoder
from feature_repo.purchases import DAY
from serving.candidates import Rows

Columns = dict[str, NDArray[Any]]
ColumnsOf = Callable[[int, Rows], Columns]
"""Item columns on a UTC day of the given catalogue rows."""

DAYS_KEPT = 3


class Encoded(NamedTuple):
    """Codes int32[capacity, C] and numbers float32[capacity, F] by catalogue row, and which rows hold them."""

    categorical: NDArray[np.int32]
    continuous: NDArray[np.float32]
    filled: NDArray[np.bool_]


class ItemMatrix:
    """The item group of one encoder for the items asked for, on the last few days asked for.

    Requests read while one writer refreshes: a row may be scored as it was or as it is, and what was scored is what
    the request gathered.

    lock: the one that guards what `columns_of` reads; held while encoding.
    """

    def __init__(self, encoder: Encoder, columns_of: ColumnsOf, lock: threading.RLock) -> None:
        self._encoder = encoder
        self._columns_of = columns_of
        self._days: OrderedDict[int, Encoded] = OrderedDict()
        self._lock = lock
        categorical, continuous = encoder.names("item")
        self._widths = len(categorical), len(continuous)

    @property
    def days(self) -> list[int]:
        """UTC day numbers that are kept."""
        return list(self._days)

    def gather(self, day: int, rows: Rows) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Codes int32[k, C] and numbers float32[k, F] of the given catalogue rows on a UTC day."""
        encoded = self._days.get(day)
        if encoded is None or _size(rows) > len(encoded.filled) or not encoded.filled[rows].all():
            with self._lock:
                encoded = self._with_room(day, _size(rows))
                self._encode(day, encoded, rows[~encoded.filled[rows]])
        else:
            with suppress(KeyError):  # another thread may have let go of it just now
                self._days.move_to_end(day)
        return encoded.categorical[rows], encoded.continuous[rows]

    def fill(self, day: int, until: int, limit: int) -> bool:
        """Encode up to `limit` of the first `until` catalogue rows that are not; whether all are now."""
        with self._lock:
            encoded = self._with_room(day, until)
            missing = np.flatnonzero(~encoded.filled[:until])
            self._encode(day, encoded, missing[:limit])
            return len(missing) <= limit

    def refresh(self, rows: Rows) -> None:
        """Encode the given catalogue rows anew on every day that holds them."""
        with self._lock:
            for day, encoded in list(self._days.items()):
                held = rows[rows < len(encoded.filled)]
                self._encode(day, encoded, held[encoded.filled[held]])

    def _encode(self, day: int, encoded: Encoded, rows: Rows) -> None:
        if len(rows):
            encoded.categorical[rows], encoded.continuous[rows] = self._encoder.encode(
                self._columns_of(day, rows), "item"
            )
            encoded.filled[rows] = True

    def _with_room(self, day: int, size: int) -> Encoded:
        """The day's matrix with at least `size` rows; the day asked for longest ago gives way."""
        found = self._days.get(day)
        if found is None or size > len(found.filled):
            capacity = max(1024, size + size // 2)
            new = Encoded(
                np.zeros((capacity, self._widths[0]), np.int32),
                np.zeros((capacity, self._widths[1]), np.float32),
                np.zeros(capacity, np.bool_),
            )
            if found is not None:
                for old, fresh in zip(found, new, strict=True):
                    fresh[: len(old)] = old
            found = self._days[day] = new
        self._days.move_to_end(day)
        while len(self._days) > DAYS_KEPT:
            self._days.popitem(last=False)
        return found


def _size(rows: Rows) -> int:
    return int(rows.max(initial=-1)) + 1


def day_of(as_of: int) -> int:
    """UTC day number of an instant in microseconds since the epoch."""
    return as_of // DAY
