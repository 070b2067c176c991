"""What a worker knows of items' parts, of all sources: as it read them, and as it has written its own since."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from feature_repo.item_partials import Partials
from feature_repo.item_totals import NONE
from feature_repo.items_state import ITEM_STATE, ItemStates, empty_items
from feature_repo.ragged import Int64, lengths_to_offsets

_BESIDE = 200
"""Bytes of an item beside its parts: id, versions, places."""


class KnownParts:
    """Parts by item and source, in one array that never grows.

    Once it has no room everything is forgotten: that happens seldom, costs a read of each item that is met again, and
    needs no order of use to be kept. What is held may be out of date where another worker writes; whoever uses it
    says which versions it was, and the store refuses others.

    Parameters
    ----------
    sources: all there can be.
    limit_bytes: how much to hold.

    Attributes
    ----------
    versions: ``int64[capacity, len(sources)]`` by row, `NONE` where a source has no part.
    """

    def __init__(self, sources: Sequence[str], limit_bytes: int) -> None:
        self._place = {source: at for at, source in enumerate(sources)}
        self._room = max(1, limit_bytes // (len(sources) * ITEM_STATE.itemsize + _BESIDE))
        self._row_of: dict[str, int] = {}
        self._states: ItemStates = np.zeros((0, len(sources)), dtype=ITEM_STATE)
        self.versions: npt.NDArray[np.int64] = np.zeros((0, len(sources)), dtype=np.int64)

    def __len__(self) -> int:
        return len(self._row_of)

    def clear(self) -> None:
        """Forget everything, and give the room back."""
        self._row_of.clear()
        self._states, self.versions = self._states[:0].copy(), self.versions[:0].copy()

    def missing(self, item_ids: Sequence[str]) -> list[str]:
        """Return the items of which nothing is known."""
        return [item for item in item_ids if item not in self._row_of]

    def rows(self, item_ids: Sequence[str]) -> Int64:
        """Return ``int64[n]``: the rows of known items."""
        of = self._row_of
        return np.array([of[item] for item in item_ids], dtype=np.int64)

    def has_room(self, count: int) -> bool:
        """Whether so many more items can be held."""
        return len(self._row_of) + count <= self._room

    def add(self, item_ids: Sequence[str], found: Partials) -> None:
        """Take in items of which nothing is known, each once."""
        first, end = len(self._row_of), len(self._row_of) + len(item_ids)
        self._grow(end)
        self._row_of.update(zip(item_ids, range(first, end), strict=True))
        self.replace(np.arange(first, end, dtype=np.int64), found)

    def _grow(self, size: int) -> None:
        have = len(self._states)
        if size <= have:
            return
        more = max(size, min(2 * have, self._room), 1024)
        states = np.zeros((more, len(self._place)), dtype=ITEM_STATE)
        versions = np.full((more, len(self._place)), NONE, dtype=np.int64)
        states[:have], versions[:have] = self._states, self.versions
        self._states, self.versions = states, versions

    def replace(self, rows: Int64, found: Partials) -> None:
        """Set all that is known of items to what was read."""
        self._states[rows] = empty_items(1)
        self.versions[rows] = NONE
        if len(found.sources):
            row = np.repeat(rows, np.diff(found.offsets))
            place = np.array([self._place[source] for source in found.sources], dtype=np.int64)
            self._states[row, place], self.versions[row, place] = found.states, found.versions

    def put(self, rows: Int64, source: str, parts: ItemStates, version: int) -> None:
        """Set a source's parts."""
        self._states[rows, self._place[source]] = parts
        self.versions[rows, self._place[source]] = version

    def parts(self, rows: Int64, source: str) -> ItemStates:
        """Return ``ITEM_STATE[n]``: a source's parts."""
        found: ItemStates = self._states[rows, self._place[source]]
        return found

    def versions_of(self, rows: Int64, source: str) -> Int64:
        """Return ``int64[n]``: versions of a source's parts, `NONE` where it has none."""
        found: Int64 = self.versions[rows, self._place[source]]
        return found

    def of(self, rows: Int64) -> tuple[ItemStates, Int64]:
        """Return the parts that there are, an item's next to each other, and ``int64[n + 1]`` where they begin."""
        have = self.versions[rows] != NONE
        return self._states[rows][have], lengths_to_offsets(have.sum(axis=1))
