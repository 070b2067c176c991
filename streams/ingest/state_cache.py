"""Recently written rows, kept in process up to a number of bytes; those written longest ago leave first.

A row that is read is written soon after, in the usual case; so reading doesn't count.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class StateCache(Generic[T]):
    """A bounded mapping from an entity's id to what is known of it.

    Parameters
    ----------
    limit_bytes: how much to hold, by the sizes that `put` is told.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._rows: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, entity: str) -> T | None:
        """Return what is held of an entity, None if nothing."""
        found = self._rows.get(entity)
        return None if found is None else found[0]

    def put(self, entity: str, row: T, size: int) -> None:
        """Hold a row of so many bytes in place of an older one."""
        before = self._rows.pop(entity, None)
        self.bytes += size - (before[1] if before else 0)
        self._rows[entity] = (row, size)

    def shrink(self) -> None:
        """Let rows go until the limit holds; call it between batches, never while one is being applied."""
        while self.bytes > self._limit and self._rows:
            _, (_, size) = self._rows.popitem(last=False)
            self.bytes -= size

    def drop(self, entities: Iterable[str]) -> None:
        """Forget some entities."""
        for entity in entities:
            found = self._rows.pop(entity, None)
            self.bytes -= found[1] if found else 0

    def clear(self) -> None:
        """Forget everything, as when partitions change hands."""
        self._rows.clear()
        self.bytes = 0
