"""Items that were deleted but still occur in histories, item state and models: they must not be recommended.

Their tombstones leave the compacted topic after a day; what stays is the version of their catalogue row in the online
store, a fence against late writers, with no row behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from feature_repo.online_store import CATALOGUE_VERSION, OnlineStore
from feature_repo.rows import Selection
from feature_repo.views import ViewLayout
from serving.items_table import ItemsTable

CHUNK = 2000


class DeletedItems:
    """Withdraws from a table the items that have no record because theirs was deleted.

    Each item is looked up once: when it is new in the table and no record told of it.
    """

    def __init__(self, table: ItemsTable, store: OnlineStore, layout: ViewLayout) -> None:
        self._table, self._store = table, store
        self._layout = layout
        self._selection = Selection.of(layout, features={layout.name: ()}, extra=(CATALOGUE_VERSION,))
        self._checked = 0

    def withdraw(self) -> int:
        """Look new items up; how many were withdrawn. Raises redis.RedisError where the store cannot be reached."""
        until = len(self._table.catalogue)
        if until == self._checked:
            return 0
        withdrawn = 0
        unknown = iter(self._table.without_record(self._checked, until))
        while chunk := list(islice(unknown, CHUNK)):
            gone = self._deleted(chunk)
            self._table.apply_catalogue(dict.fromkeys(gone))
            withdrawn += len(gone)
        self._checked = until
        return withdrawn

    def _deleted(self, ids: Sequence[str]) -> list[str]:
        rows = self._store.read_rows(self._selection, ids)
        fences, times = rows.own_field(CATALOGUE_VERSION), rows.event_times(self._layout.name)
        return [name for name, fence, at in zip(ids, fences, times.tolist(), strict=True) if fence and at < 0]
