"""What a rebuild writes into the online store, wherever it comes from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.deduplication import renumber
from feature_repo.items_state import ItemStates, total
from streams.ingest.item_writer import BACKFILL
from streams.ingest.start import Backfilled

BASE = -1
"""Position of customers whose state was not brought by the present topic."""


class CantRebuildError(RuntimeError):
    """The state can't be restored from there, or not surely right; says why."""


@dataclass(frozen=True)
class Block:
    """Some customers.

    Attributes
    ----------
    states, rows: the same `n` customers, as columns and packed.
    arrived: ``int64[n]``, when each one's newest event arrived, microseconds since the epoch.
    """

    customer_ids: Sequence[str]
    states: CustomerStates
    rows: Sequence[CustomerRow]
    arrived: npt.NDArray[np.int64]

    def as_base(self) -> "Block":
        """Return the same customers as if a backfill had brought them: offsets of an old topic mean nothing."""
        n = len(self.customer_ids)
        # Ids are ordered by offset; below zero they stay so, and are none that the stream will bring.
        states = replace(renumber(self.states, BASE), position=np.full(n, BASE, dtype=np.int64))
        return Block(self.customer_ids, states, states.rows(), self.arrived)


@dataclass(frozen=True)
class Parts:
    """One source's parts of `k` items: ids, ``ITEM_STATE[k]``, ``int64[k]`` versions."""

    item_ids: Sequence[str]
    states: ItemStates
    versions: npt.NDArray[np.int64]


def merged(parts: Mapping[str, Parts]) -> dict[str, Parts]:
    """Return the sum of all sources' parts as the one of the source `backfill`."""
    ids = sorted({item for each in parts.values() for item in each.item_ids})
    if not ids:
        return {}
    row = {item: at for at, item in enumerate(ids)}
    where = np.concatenate([[row[item] for item in each.item_ids] for each in parts.values()]).astype(np.int64)
    states = np.concatenate([each.states for each in parts.values()])
    order = np.argsort(where, kind="stable")
    offsets = np.concatenate(([0], np.cumsum(np.bincount(where, minlength=len(ids))))).astype(np.int64)
    return {BACKFILL: Parts(ids, total(states[order], offsets), np.zeros(len(ids), dtype=np.int64))}


class Rebuilt(Protocol):
    """A state: consistent for each partition of the stream at a position of it."""

    @property
    def name(self) -> str:
        """What it comes from."""

    @property
    def positions(self) -> Mapping[int, int]:
        """Partition -> offset: everything before it is in, nothing at or after it is."""

    @property
    def backfilled(self) -> Backfilled | None:
        """The record of the base under the stream."""

    def customers(self) -> Iterator[Block]:
        """Yield all customers, each once.

        Raises
        ------
        CantRebuildError: it turns out that it is not surely right.
        """

    def parts(self) -> dict[str, Parts]:
        """Return the items' parts by source; to be called after `customers` has ended."""
