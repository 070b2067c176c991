"""All items in process: catalogue, purchase state, trending list, and what the stream's clock says.

Fed with records of `items` and `features-items`; no I/O here. Item state comes as absolute parts, one a source
(a partition of the interactions, or the backfill): a newer part replaces the older of its source, the parts of all
sources are summed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from feature_repo.catalogue import Catalogue, CatalogueItem
from feature_repo.encoder import Encoder
from feature_repo.items_state import ITEM_STATE, NO_DAY, SLOT, ItemStates, empty_items, read_states, slow_part, total
from feature_repo.materialise import item_columns
from feature_repo.purchases import DAY
from feature_repo.ragged import lengths_to_offsets
from feature_repo.shop import Shop
from serving.candidates import Rows
from serving.hot_items import Hot, HotItems
from serving.item_matrix import DAYS_KEPT, Columns, ItemMatrix
from serving.trending import Trending, refreshed, trending


class FeatureRecord(NamedTuple):
    """A record of `features-items`: source and item of its key, ITEM_STATE bytes or None for a tombstone."""

    source: str
    item_id: str
    state: bytes | None


class ItemsTable:
    """Items by catalogue row. One thread writes; any number read beside it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.catalogue = Catalogue(shop.item_attributes)
        self._totals: ItemStates = empty_items(0)
        self._parts: dict[str, _Parts] = {}
        self._matrices: WeakSet[ItemMatrix] = WeakSet()
        self._trending: dict[int, Trending] = {}
        self._stale: list[Rows] = []
        self._since: dict[int, list[Rows]] = {}
        self._recorded: set[int] = set()
        self._today: int | None = None
        self._newest_day = NO_DAY
        self._newest_at = 0
        self.lock = threading.RLock()
        self._hot = HotItems(lambda: (self.states, self.catalogue.keys), self.lock)

    @property
    def newest_event_at(self) -> int:
        """The stream's clock: newest event time that the item changelog told, microseconds; 0 before the first."""
        return max(self._newest_at, self._newest_day * DAY if self._newest_day != NO_DAY else 0)

    @property
    def states(self) -> ItemStates:
        """ITEM_STATE[n] by catalogue row, summed over sources."""
        return self._totals[: len(self.catalogue)]

    def matrix(self, encoder: Encoder) -> ItemMatrix:
        """A matrix of all items for `encoder`, kept fresh as long as someone holds it."""

        def columns_of(day: int, rows: Rows) -> Columns:
            return item_columns(self.shop, self.states[rows], self.catalogue, day * DAY, rows)

        matrix = ItemMatrix(encoder, columns_of, self.lock)
        with self.lock:
            self._matrices.add(matrix)
        return matrix

    def ensure(self, item_ids: Iterable[str]) -> Rows:
        """Catalogue rows of the ids, int64[n]; ids not seen yet become items without name or attributes."""
        with self.lock:
            before = len(self.catalogue)
            rows = self.catalogue.ensure(item_ids)
            self._grow()
            self._changed(np.arange(before, len(self.catalogue), dtype=np.int64))
        return rows

    def apply_catalogue(self, changes: Mapping[str, CatalogueItem | None]) -> None:
        """Upsert items; None withdraws one: it has a row, for histories refer to it, and is not recommended."""
        with self.lock:
            rows = self.catalogue.upsert(item for item in changes.values() if item is not None)
            gone = self.catalogue.ensure(item_id for item_id, item in changes.items() if item is None)
            for row in gone.tolist():
                self.catalogue.withdraw(self.catalogue.item_ids[row])
            self._recorded.update(rows.tolist(), gone.tolist())
            self._grow()
            self._changed(np.union1d(rows, gone))

    def without_record(self, start: int, end: int) -> list[str]:
        """Ids in catalogue rows `start` to `end` of which `apply_catalogue` has told nothing."""
        return [self.catalogue.item_ids[row] for row in range(start, end) if row not in self._recorded]

    def apply_features(self, records: Iterable[FeatureRecord], newest_event_at: int = 0) -> None:
        """Replace parts of item states and sum the touched items anew; what only grew hot costs little more.

        Of several records for one source and item the last counts. `newest_event_at` (microseconds, 0: not told)
        moves the stream's clock; it never goes back.
        """
        latest = {(record.source, record.item_id): record.state for record in records}
        by_source: dict[str, list[tuple[str, bytes]]] = {}
        for (source, item_id), state in latest.items():
            by_source.setdefault(source, []).append((item_id, state or _NOTHING))
        with self.lock:
            self._newest_at = max(self._newest_at, newest_event_at)
            touched = [self._replace(source, pairs) for source, pairs in by_source.items()]
            if touched:
                rows = np.unique(np.concatenate(touched))
                before = slow_part(self._totals[rows])
                self._sum(rows)
                self._changed(rows[(before != slow_part(self._totals[rows])).any(axis=1)])
                self._hot.changed(rows)

    def trending(self, day: int, *, exact: bool = True) -> Trending:
        """The trending list of a UTC day number, as of the last `refresh_trending`.

        Without `exact` the list of the newest day before that is at hand will do, until someone has asked for this one;
        the newest day asked for like that is kept, however many others are asked for.
        """
        if not exact:
            self._today = day if self._today is None else max(day, self._today)
        found = self._trending.get(day)
        if found is None and not exact:
            before = [other for other in list(self._trending) if other < day]
            found = self._trending.get(max(before)) if before else None
        return found or self._order(day)

    def hot(self, slot: int, *, exact: bool = True) -> Hot:
        """What is hot in a 5-minute slot, as of the last `refresh_hot`.

        Without `exact` the slot before will do, until `refresh_hot` has looked at this one.
        """
        return self._hot.at(slot, exact=exact)

    def refresh_hot(self) -> None:
        """Take in what has changed since; cheap enough for several times a second."""
        self._hot.refresh()

    def _order(self, day: int) -> Trending:
        """Order all items for a day, which takes a while, with the lock held only to copy them."""
        with self.lock:
            states, keys, categories = self.states.copy(), self.catalogue.keys.copy(), self._categories().copy()
            since = self._since.setdefault(day, [])
            if not self._trending:
                self._stale = []
        found = trending(states, keys, day * DAY).in_categories(categories)
        with self.lock:
            self._since.pop(day, None)
            self._trending[day] = found
            self._stale += since
            while len(self._trending) > DAYS_KEPT:
                del self._trending[next(other for other in self._trending if other not in (self._today, day))]
        return found

    def refresh_trending(self) -> None:
        """Order the trending lists anew where items have changed since."""
        with self.lock:
            if not self._stale:
                return
            changed, self._stale = np.unique(np.concatenate(self._stale)), []
            states, keys, categories = self.states, self.catalogue.keys, self._categories()
            for day, before in list(self._trending.items()):
                found = refreshed(before, states, keys, day * DAY, changed)
                self._trending[day] = found.in_categories(categories)

    def _categories(self) -> NDArray[np.int32]:
        """int32[n]: each item's category as a code, 0 where it has none."""
        if self.shop.category:
            return self.catalogue.attribute(self.shop.category)
        return np.zeros(len(self.catalogue), np.int32)

    def _replace(self, source: str, pairs: list[tuple[str, bytes]]) -> Rows:
        rows = self.catalogue.ensure([item_id for item_id, _ in pairs])
        self._grow()
        states = read_states([state for _, state in pairs])
        self._parts.setdefault(source, _Parts()).put(rows, states)
        self._newest_day = max(self._newest_day, int(states["newest_day"].max()))
        self._newest_at = max(self._newest_at, int(states["hot_slot"].max()) * SLOT)
        return rows

    def _sum(self, rows: Rows) -> None:
        """Sum the parts of all sources for distinct catalogue rows."""
        slots = np.stack([parts.slots_of(rows) for parts in self._parts.values()], axis=1)
        have = slots >= 0
        summands = np.zeros(int(have.sum()), ITEM_STATE)
        place = np.cumsum(have.reshape(-1)).reshape(have.shape) - 1
        for number, parts in enumerate(self._parts.values()):
            mine = have[:, number]
            summands.view(_WHOLE)[place[mine, number]] = np.take(parts.states.view(_WHOLE), slots[mine, number])
        self._totals[rows] = total(summands, lengths_to_offsets(have.sum(axis=1)))

    def _changed(self, rows: Rows) -> None:
        if len(rows):
            for changes in (self._stale, *self._since.values()):
                changes.append(rows)
            for matrix in list(self._matrices):
                matrix.refresh(rows)

    def _grow(self) -> None:
        n = len(self.catalogue)
        if n > len(self._totals):
            grown = empty_items(max(1024, 2 * n))
            grown[: len(self._totals)] = self._totals
            self._totals = grown


_NOTHING = empty_items(1).tobytes()
_WHOLE = np.dtype((np.void, ITEM_STATE.itemsize))
"""States as they lie in memory: numpy copies others field by field."""


class _Parts:
    """One source's parts, dense in the order of first sight, with the slot of each catalogue row."""

    def __init__(self) -> None:
        self._slot = np.full(0, -1, np.int64)
        self.states: ItemStates = empty_items(0)
        self._count = 0

    def slots_of(self, rows: Rows) -> NDArray[np.int64]:
        """int64[k]: places in `states`, -1 where this source has told nothing of the item."""
        inside = rows < len(self._slot)
        slots = np.full(len(rows), -1, np.int64)
        slots[inside] = self._slot[rows[inside]]
        return slots

    def put(self, rows: Rows, states: NDArray[Any]) -> None:
        """Set the parts of distinct catalogue rows."""
        highest = int(rows.max()) + 1
        if highest > len(self._slot):
            grown = np.full(max(1024, 2 * highest), -1, np.int64)
            grown[: len(self._slot)] = self._slot
            self._slot = grown
        new = rows[self._slot[rows] < 0]
        if self._count + len(new) > len(self.states):
            more = empty_items(max(1024, 2 * (self._count + len(new))))
            more[: self._count] = self.states[: self._count]
            self.states = more
        self._slot[new] = np.arange(self._count, self._count + len(new))
        self._count += len(new)
        self.states[self._slot[rows]] = states
