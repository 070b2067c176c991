"""What is hot: items by the trend score of the moment; a source of candidates, a column of the ranker, and half of the
answer of last resort.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.items_state import SLOT, ItemStates
from feature_repo.trends import trend_scores
from serving.candidates import Rows
from serving.ranking import top

DEPTH = 5_000
"""Items that are put in order; filters that leave less than wanted of these find nothing hot."""

SLOTS_KEPT = 3


class Hot(NamedTuple):
    """What is hot in a 5-minute slot: catalogue rows with a score, best first, and all items' scores, float64[n]."""

    order: Rows
    scores: NDArray[np.float64]

    def of(self, rows: Rows) -> NDArray[np.float64]:
        """float64[k]: scores of catalogue rows; 0 for items that came since."""
        if not len(self.scores):
            return np.zeros(len(rows))
        return np.where(rows < len(self.scores), self.scores[np.minimum(rows, len(self.scores) - 1)], 0.0)


def hot(states: ItemStates, keys: NDArray[np.uint64], as_of: int) -> Hot:
    """Order items by trend score at an instant in microseconds since the epoch, then by item key.

    states: ITEM_STATE[n] summed over sources, keys: uint64[n].
    """
    return ordered(trend_scores(states, as_of), keys)


def ordered(scores: NDArray[np.float64], keys: NDArray[np.uint64]) -> Hot:
    """Put the items that have a score, float64[n], in order."""
    rows = np.flatnonzero(scores)
    return Hot(rows[top(scores[rows], keys[rows], DEPTH)], scores)


class HotItems:
    """What is hot now, and in the last few slots asked for.

    One thread refreshes and tells what has changed, any number ask beside it.

    look: gives the present ITEM_STATE[n] and keys uint64[n]; lock: guards what it reads.
    """

    def __init__(self, look: Callable[[], tuple[ItemStates, NDArray[np.uint64]]], lock: threading.RLock) -> None:
        self._look = look
        self._lock = lock
        self._kept: OrderedDict[int, Hot] = OrderedDict()
        self._stale: list[Rows] = []
        self._now: int | None = None

    def at(self, slot: int, *, exact: bool = True) -> Hot:
        """What is hot in a slot, as of the last `refresh`.

        Without `exact` the slot before will do, until `refresh` has looked at this one: nobody waits every five
        minutes.
        """
        found = self._kept.get(slot)
        if not exact:
            self._now = slot if self._now is None else max(slot, self._now)
            found = found or self._kept.get(slot - 1)
        return found or self._order(slot)

    def changed(self, rows: Rows) -> None:
        """Catalogue rows of which something may have changed."""
        self._stale.append(rows)

    def refresh(self) -> None:
        """Take in what has changed, at the cost of the changed items and of ordering the hot ones."""
        with self._lock:
            stale, self._stale = self._stale, []
            states, keys = self._look()
            if stale:
                rows = np.unique(np.concatenate(stale))
                for slot, before in list(self._kept.items()):
                    scores = np.zeros(len(states))
                    scores[: len(before.scores)] = before.scores
                    scores[rows] = trend_scores(states[rows], slot * SLOT)
                    self._kept[slot] = ordered(scores, keys)
        if self._now is not None and self._now not in self._kept:
            self._order(self._now)

    def _order(self, slot: int) -> Hot:
        with self._lock:
            states, keys = self._look()
            found = self._kept[slot] = hot(states, keys, slot * SLOT)
            while len(self._kept) > SLOTS_KEPT:
                gone = next(old for old in self._kept if old not in (self._now, slot))
                del self._kept[gone]
        return found
