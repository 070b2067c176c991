"""Which item has which vector, and which items share one: texts repeat, their vectors are kept once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from serving.similar.vectors import Slots, Vectors
from streams.contracts.embeddings import Embedding

NONE = -1

Rows = NDArray[np.int64]


class ItemVectors:
    """Vectors of the items by catalogue row. One thread writes; any number read beside it.

    Each encoder's vectors are apart: an item is compared with those that the same encoder has read, so while all items
    are embedded anew by another, answers come from one or the other, never from both.
    """

    def __init__(self) -> None:
        self.of: dict[str, Vectors] = {}
        self._slots: dict[str, dict[bytes, int]] = {}
        self._place: dict[int, tuple[str, int]] = {}
        self._rows: dict[tuple[str, int], list[int]] = {}
        self._slot_of_row: dict[str, NDArray[np.int32]] = {}

    def __len__(self) -> int:
        """Items that have a vector."""
        return len(self._place)

    def apply(self, changes: Mapping[int, Embedding | None]) -> None:
        """Set the vectors of catalogue rows; None takes one's away."""
        for row, embedding in changes.items():
            if embedding is None:
                self._leave(row)
        for encoder in {each.encoder for each in changes.values() if each is not None}:
            mine = {row: each for row, each in changes.items() if each is not None and each.encoder == encoder}
            self._take(encoder, mine)

    def place(self, row: int) -> tuple[str, int] | None:
        """An item's encoder and slot, None where it has no vector yet."""
        return self._place.get(row)

    def rows(self, encoder: str, slot: int) -> list[int]:
        """Catalogue rows of the items that share a vector; not to be changed."""
        return self._rows.get((encoder, slot), [])

    def slots(self, encoder: str, rows: Rows) -> Slots:
        """int64[k]: each item's slot among an encoder's vectors, `NONE` where it has none."""
        held = self._slot_of_row.get(encoder)
        found = np.full(len(rows), NONE, np.int64)
        if held is not None:
            inside = rows < len(held)
            found[inside] = held[rows[inside]]
        return found

    def _take(self, encoder: str, mine: Mapping[int, Embedding]) -> None:
        dimension = len(next(iter(mine.values())).vector)
        vectors = self.of.setdefault(encoder, Vectors(dimension))
        known = self._slots.setdefault(encoder, {})
        new = {each.text: each.vector for each in mine.values() if each.text not in known}
        fitting = {text: vector for text, vector in new.items() if len(vector) == vectors.dimension}
        if fitting:
            slots = vectors.add(np.stack(list(fitting.values())))
            known.update(zip(fitting, slots.tolist(), strict=True))
        self._grow(encoder, max(mine))
        for row, embedding in mine.items():
            slot = known.get(embedding.text)
            if slot is None or self._place.get(row) == (encoder, slot):
                continue
            self._leave(row)
            self._rows.setdefault((encoder, slot), []).append(row)
            self._slot_of_row[encoder][row] = slot
            self._place[row] = (encoder, slot)

    def _leave(self, row: int) -> None:
        place = self._place.pop(row, None)
        if place is not None:
            self._rows[place] = [other for other in self._rows[place] if other != row]  # readers keep the old list
            self._slot_of_row[place[0]][row] = NONE

    def _grow(self, encoder: str, row: int) -> None:
        held = self._slot_of_row.get(encoder, np.zeros(0, np.int32))
        if row >= len(held):
            grown = np.full(max(1024, 2 * (row + 1)), NONE, np.int32)
            grown[: len(held)] = held
            self._slot_of_row[encoder] = grown
