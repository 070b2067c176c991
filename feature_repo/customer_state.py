"""What is kept of a customer: a bounded history, sums of what left it, and how far the stream was read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from feature_repo.purchases import PURCHASE, Purchases
from feature_repo.ragged import Int64, pick, select, unpack

RECENT = np.dtype([("time", "<i8"), ("item", "<u8"), ("type", "<i4"), ("weight", "<f4")])
"""An interaction that is no purchase: event time, item key, `EventType`, weight (a rating's value, else units)."""

SEEN_ID = np.dtype([("event", "<u8"), ("offset", "<i8"), ("arrival", "<i8")])
"""An event that was applied: key of its id, offset in its partition, arrival in microseconds since the epoch."""

NOTHING_READ = -(2**62)
"""Position of a customer of whom no event was ever read."""

EVICTED_FIELDS = ("purchases", "quantity", "spend", "first_at", "last_at")


class EventType(IntEnum):
    """Codes of the interaction types."""

    IMPRESSION = 0
    VIEW = 1
    CLICK = 2
    ADD_TO_CART = 3
    REMOVE_FROM_CART = 4
    PURCHASE = 5
    RETURN = 6
    RATING = 7


class CustomerRow(NamedTuple):
    """One customer's state as bytes, the way it is stored; `sealed` changes once in `Limits.sealing` events."""

    history: bytes
    recent: bytes
    ids: bytes
    evicted: bytes
    position: int
    sealed: bytes = b""

    @property
    def blank(self) -> bool:
        """Whether nothing is in it, as of a customer who was erased: whoever did something has an id."""
        return not self.ids and not self.sealed


@dataclass(frozen=True)
class Limits:
    """Bounds of a customer's state. Beyond them the oldest leaves first; purchases leave into the sums.

    Attributes
    ----------
    purchases, recent, seen
        Rows kept of each kind; of `seen` at least so many.
    dedupe_window
        Microseconds of arrival time within which a repeated event id is a duplicate.
    sealing
        One event in so many seals the ids up to its own, see `feature_repo.deduplication`.
    """

    purchases: int = 4096
    recent: int = 64
    seen: int = 16384
    dedupe_window: int = 48 * 3_600_000_000
    sealing: int = 32


@dataclass(frozen=True)
class CustomerStates:
    """The states of ``n`` customers.

    Attributes
    ----------
    purchases, purchase_offsets
        ``PURCHASE[m]`` in canonical order per customer, ``int64[n + 1]``.
    recent, recent_offsets
        ``RECENT[k]`` ordered by (time, item, type, weight), ``int64[n + 1]``.
    seen, seen_offsets
        ``SEEN_ID[s]`` ordered by offset, ``int64[n + 1]``: since the last sealing.
    sealed
        ``[n]``, bytes of ``SEEN_ID[]`` ordered by offset: before that.
    evicted
        ``int64[n, 5]``: purchase lines, units, spend (minor units), first and last purchase instant of what
        left the history; the instants are 0 while nothing has.
    position
        ``int64[n]``: last offset of the interactions topic that was applied.
    """

    purchases: Purchases
    purchase_offsets: Int64
    recent: npt.NDArray[Any]
    recent_offsets: Int64
    seen: npt.NDArray[Any]
    seen_offsets: Int64
    sealed: Sequence[bytes]
    evicted: npt.NDArray[np.int64]
    position: Int64

    def __len__(self) -> int:
        return len(self.position)

    @classmethod
    def empty(cls, n: int) -> "CustomerStates":
        """Return the states of ``n`` customers of whom nothing is known."""
        zeros = np.zeros(n + 1, dtype=np.int64)
        return cls(
            np.zeros(0, PURCHASE), zeros, np.zeros(0, RECENT), zeros, np.zeros(0, SEEN_ID), zeros, [b""] * n,
            np.zeros((n, len(EVICTED_FIELDS)), dtype=np.int64), np.full(n, NOTHING_READ, dtype=np.int64),
        )  # fmt: skip

    @classmethod
    def from_rows(cls, rows: Sequence[CustomerRow | None]) -> "CustomerStates":
        """Unpack stored rows; ``None`` stands for a customer of whom nothing is known."""
        n = len(rows)
        blank = CustomerRow(b"", b"", b"", bytes(8 * len(EVICTED_FIELDS)), NOTHING_READ)
        whole = [row or blank for row in rows]

        evicted = np.frombuffer(b"".join([row.evicted or blank.evicted for row in whole]), dtype="<i8")
        position = np.fromiter((row.position for row in whole), dtype=np.int64, count=n)
        return cls(
            *unpack([row.history for row in whole], PURCHASE),
            *unpack([row.recent for row in whole], RECENT),
            *unpack([row.ids for row in whole], SEEN_ID),
            [row.sealed for row in whole],
            evicted.reshape(n, len(EVICTED_FIELDS)),
            position,
        )

    def rows(self) -> list[CustomerRow]:
        """Pack each customer's state into bytes."""
        history = _split(self.purchases, self.purchase_offsets)
        recent = _split(self.recent, self.recent_offsets)
        ids = _split(self.seen, self.seen_offsets)
        evicted = _split(np.ascontiguousarray(self.evicted, dtype="<i8"), np.arange(len(self) + 1))
        return list(map(CustomerRow, history, recent, ids, evicted, self.position.tolist(), self.sealed))

    def without_ids(self) -> "CustomerStates":
        """Return the same without the events' ids, which no feature is made of."""
        nothing = np.zeros(len(self) + 1, dtype=np.int64)
        return replace(self, seen=self.seen[:0], seen_offsets=nothing, sealed=[b""] * len(self))

    def take(self, chosen: Int64) -> "CustomerStates":
        """Return the states of the chosen customers, in that order."""
        if np.array_equal(chosen, np.arange(len(self))):
            return self
        p, p_offsets = select(self.purchase_offsets, chosen)
        r, r_offsets = select(self.recent_offsets, chosen)
        s, s_offsets = select(self.seen_offsets, chosen)
        return CustomerStates(
            pick(self.purchases, p), p_offsets, pick(self.recent, r), r_offsets, pick(self.seen, s), s_offsets,
            [self.sealed[at] for at in chosen.tolist()], self.evicted[chosen], self.position[chosen],
        )  # fmt: skip


def _split(records: npt.NDArray[Any], offsets: Int64) -> list[bytes]:
    """Cut a packed array into each owner's bytes."""
    blob = memoryview(np.ascontiguousarray(records).tobytes())
    width = records.dtype.itemsize * (records.shape[1] if records.ndim == 2 else 1)
    bounds = (offsets * width).tolist()
    return [bytes(blob[start:end]) for start, end in pairwise(bounds)]
