"""What each source of events has contributed to an item, kept beside the item's total row.

A source (a partition of the interactions, or a backfill) owns its partial and always replaces it whole, so that
writing it again changes nothing. The total is the sum over sources; its version is the sum of theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.items_state import ITEM_STATE, ItemStates, read_states
from feature_repo.online_store import OnlineStore, Outcomes
from feature_repo.redis_commands import Command, Script, call, send
from feature_repo.views import ITEM

STATE_FIELD = "hw:p:"
"""Followed by the source: field of an item's hash with that source's partial, ``ITEM_STATE`` bytes."""

VERSION_FIELD = "hw:v:"
"""Followed by the source: field with the partial's version, the offset after the last event in it."""

# The same version may be written again: after a crash the log of what was under way is replayed.
_WRITE = Script("""
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored and tonumber(stored) > tonumber(ARGV[2]) then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return 1
""")


@dataclass(frozen=True)
class Partials:
    """The partials of ``n`` items, those of an item next to each other.

    Attributes
    ----------
    states
        ``ITEM_STATE[m]``.
    offsets
        ``int64[n + 1]``: where each item's partials begin.
    sources
        ``[m]`` names of the sources.
    versions
        ``int64[m]`` versions of the partials.
    """

    states: ItemStates
    offsets: npt.NDArray[np.int64]
    sources: list[str]
    versions: npt.NDArray[np.int64]

    def total_versions(self) -> npt.NDArray[np.int64]:
        """Return ``int64[n]``: the version of each item's total, the sum over its sources."""
        running = np.concatenate(([0], np.cumsum(self.versions)))
        return running[self.offsets[1:]] - running[self.offsets[:-1]]

    def of(self, item: int) -> dict[str, tuple[bytes, int]]:
        """Return an item's partials and their versions by source."""
        rows = range(self.offsets[item], self.offsets[item + 1])
        return {self.sources[i]: (self.states[i].tobytes(), int(self.versions[i])) for i in rows}


class ItemPartials:
    """Partials of items in Redis, in the items' Feast hashes.

    Parameters
    ----------
    store
        The store whose item hashes hold them.
    sources
        All sources there can be, so that one read names their fields.
    """

    def __init__(self, store: OnlineStore, sources: Sequence[str]) -> None:
        self._store = store
        self.sources = tuple(sources)
        self._fields = [f"{field}{source}".encode() for source in sources for field in (STATE_FIELD, VERSION_FIELD)]

    def write(
        self, source: str, ids: Sequence[str], states: ItemStates, versions: Sequence[int] | npt.NDArray[np.int64]
    ) -> Outcomes:
        """Replace a source's partials, unless the store holds newer ones.

        Parameters
        ----------
        source
            Who counted.
        ids
            Items, ``[k]``.
        states
            ``ITEM_STATE[k]``: absolute partials.
        versions
            ``int64[k]``.

        Returns
        -------
        int8[k]
            `Outcome.WRITTEN` or `Outcome.NEWER`.
        """
        replies = send(self._store.client, self._writes(source, ids, states, versions), script=_WRITE)
        return np.array(replies, dtype=np.int8)

    def read(self, ids: Sequence[str]) -> Partials:
        """Read the partials of all sources."""
        return self._partials(send(self._store.client, self._reads(ids)))

    def _writes(
        self, source: str, ids: Sequence[str], states: ItemStates, versions: Sequence[int] | npt.NDArray[np.int64]
    ) -> list[Command]:
        if source not in self.sources:
            raise ValueError(f"source {source!r} is not one of {list(self.sources)}: it would never be read")
        state_field, version_field = f"{STATE_FIELD}{source}", f"{VERSION_FIELD}{source}"
        numbers = np.asarray(versions, dtype=np.int64).tolist()
        data = np.ascontiguousarray(states, dtype=ITEM_STATE).view(f"V{ITEM_STATE.itemsize}").tolist()
        keys = self._store.keys(ITEM, ids)
        return [
            call(_WRITE, key, version_field, version, state_field, state)
            for key, version, state in zip(keys, numbers, data, strict=True)
        ]

    def _reads(self, ids: Sequence[str]) -> list[Command]:
        return [(b"HMGET", key, *self._fields) for key in self._store.keys(ITEM, ids)]

    def _partials(self, rows: Sequence[Sequence[bytes | None]]) -> Partials:
        states: list[bytes] = []
        sources: list[str] = []
        versions: list[int] = []
        offsets = [0]
        for row in rows:
            for source, state, version in zip(self.sources, row[::2], row[1::2], strict=True):
                if state is not None and version is not None:
                    states.append(state)
                    sources.append(source)
                    versions.append(int(version))
            offsets.append(len(states))
        return Partials(
            read_states(states),
            np.array(offsets, dtype=np.int64),
            sources,
            np.array(versions, dtype=np.int64),
        )
