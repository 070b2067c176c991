"""A batch of valid events as columns, and what can become of an event."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.ragged import Int64


class Outcome(IntEnum):
    """What became of an event."""

    APPLIED = 0
    DUPLICATE = 1
    REPLAYED = 2
    """It is in the state already."""
    REPLAYED_DUPLICATE = 3
    """It was read before and was a duplicate then."""


@dataclass(frozen=True)
class Events:
    """A batch of valid events, in the order of their offsets.

    Attributes
    ----------
    customer
        ``int64[e]``: row of the event's customer in the states.
    item, event
        ``uint64[e]``: keys of the item and of the event's id.
    type
        ``int8[e]``: `EventType`.
    time, arrival
        ``int64[e]``: event time and arrival, microseconds since the epoch.
    quantity, amount
        ``int32[e]``: units (positive, for returns too) and the line's minor units (-1: unknown).
    weight
        ``float32[e]``: a rating's value, else the units.
    offset
        ``int64[e]``: offset in the customer's partition.
    """

    customer: Int64
    item: npt.NDArray[np.uint64]
    event: npt.NDArray[np.uint64]
    type: npt.NDArray[np.int8]
    time: Int64
    quantity: npt.NDArray[np.int32]
    amount: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    arrival: Int64
    offset: Int64

    def __len__(self) -> int:
        return len(self.customer)

    def take(self, chosen: npt.NDArray[Any]) -> "Events":
        """Return the chosen events: an index or a mask."""
        return Events(**{name: column[chosen] for name, column in vars(self).items()})
