"""What is published of each item's neighbours: a digest, by which a new count sees what it has to change."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from streams.contracts.codec import encode
from streams.contracts.operations import ItemNeighbours


def digest(found: ItemNeighbours) -> bytes:
    """The same for the same neighbours; that time has passed since is no change."""
    return blake2b(encode(msgspec.structs.replace(found, counted_until=0)), digest_size=16).digest()


class Published:
    """Digests by item id: a few bytes an item where its neighbours are a few kilobytes."""

    def __init__(self) -> None:
        self._digests: dict[str, bytes] = {}

    def __len__(self) -> int:
        """Items that have neighbours."""
        return len(self._digests)

    def update(self, items: Iterable[tuple[str, bytes]], gone: Iterable[str] = ()) -> None:
        """Learn what is published: ids with their digests, and ids of which nothing is any more."""
        self._digests.update(items)
        for item_id in gone:
            self._digests.pop(item_id, None)

    def differs(self, found: ItemNeighbours) -> bool:
        """Whether an item's neighbours have still to be published."""
        return self._digests.get(found.item_id) != digest(found)

    def besides(self, item_ids: set[str]) -> set[str]:
        """Items that have neighbours and are not among these."""
        return self._digests.keys() - item_ids
