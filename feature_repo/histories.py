"""What is kept of customers' interactions, as the kernels of pairs and sessions take it."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from feature_repo.customer_state import CustomerStates
from feature_repo.purchases import Purchases
from feature_repo.ragged import Int64


@dataclass(frozen=True)
class Histories:
    """What is known of ``n`` customers' interactions, oldest first.

    Attributes
    ----------
    lines, offsets
        ``PURCHASE[m]`` in canonical order and ``int64[n + 1]``, before returns are matched.
    recent, recent_offsets
        ``RECENT[k]`` and ``int64[n + 1]``.
    """

    lines: Purchases
    offsets: Int64
    recent: npt.NDArray[Any]
    recent_offsets: Int64

    def __len__(self) -> int:
        return len(self.offsets) - 1


def histories_of(states: CustomerStates) -> Histories:
    """Return the part of the states that affinities and sessions are computed from."""
    return Histories(states.purchases, states.purchase_offsets, states.recent, states.recent_offsets)
