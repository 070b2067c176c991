"""What was bought with an item and instead of it, by item, as topic `item-neighbours` tells."""

from __future__ import annotations

from collections.abc import Iterable

from streams.contracts.codec import decode
from streams.contracts.compacted import Record
from streams.contracts.observability import logger
from streams.contracts.operations import ItemNeighbours
from streams.contracts.rejection import Rejected

log = logger(__name__)


class NeighbourLists:
    """Neighbours by item id. One thread writes; any number read beside it."""

    def __init__(self) -> None:
        self._of: dict[str, ItemNeighbours] = {}

    def __len__(self) -> int:
        return len(self._of)

    def of(self, item_id: str) -> ItemNeighbours | None:
        """An item's neighbours, None where baskets say nothing of it."""
        return self._of.get(item_id)

    def apply(self, records: Iterable[Record]) -> None:
        """Take in records; one that can't be read changes nothing."""
        for record in records:
            item_id = record.key.decode(errors="replace")
            if not record.value:
                self._of.pop(item_id, None)
                continue
            try:
                self._of[item_id] = decode(record.value, ItemNeighbours)
            except Rejected as error:
                log.warning("neighbours ignored", item=item_id, offset=record.offset, why=str(error))
