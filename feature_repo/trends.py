"""How hot an item is at an instant: its latest interactions, weighted by kind and by age in minutes."""

import numpy as np
import numpy.typing as npt

from feature_repo.items_state import SLOT, SLOTS, ItemStates, places

DECAY_MINUTES = 45.0
"""Time constant of the score, in minutes."""

_BY_AGE = np.exp(np.arange(SLOTS) * (SLOT / 60e6) / -DECAY_MINUTES)


def slot_of(as_of: int) -> int:
    """Number of the 5-minute slot of an instant in microseconds since the epoch."""
    return as_of // SLOT


def trend_scores(states: ItemStates, as_of: npt.NDArray[np.int64] | int) -> npt.NDArray[np.float64]:
    """Return ``float64[n]``: the sum of weight * exp(-age / 45 min) over an item's interactions.

    The age is that of the interaction's 5-minute slot, in whole slots: what happened in the slot of ``as_of`` has
    its full weight, so the score answers at once; what lies 32 slots back or later than ``as_of`` has none.

    Parameters
    ----------
    states
        ``ITEM_STATE[n]``, summed over sources.
    as_of
        Microseconds since the epoch: one instant, or ``int64[n]``.
    """
    now = np.broadcast_to(np.asarray(as_of, dtype=np.int64) // SLOT, len(states))
    scores = np.zeros(len(states))
    newest = states["hot_slot"]
    warm = np.flatnonzero((newest > now - SLOTS) & (newest < now + SLOTS))
    if len(warm):
        age = now[warm, None] - places(newest[warm], SLOTS)
        weight = np.where(age >= 0, _BY_AGE[np.clip(age, 0, SLOTS - 1)] * (age < SLOTS), 0.0)
        scores[warm] = (states["hot"][warm] * weight).sum(axis=1)
    return scores
