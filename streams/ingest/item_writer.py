"""Items' state in the online store: an absolute part for each source, and the total that is served.

The total's version is the sum of the parts' versions. Whoever writes a part reads the others afterwards, hence
the highest sum has seen them all.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from feature_repo.item_partials import ItemPartials, Partials
from feature_repo.items_state import ITEM_STATE, TOTALS, ItemStates, empty_items, read_states, total
from feature_repo.online_store import VERSION, OnlineStore
from feature_repo.shop import Shop
from feature_repo.views import ITEM_PURCHASES, item_purchases
from streams.contracts.observability import STORE_ROWS
from streams.ingest.state_cache import StateCache

BACKFILL = "backfill"
"""Source of what was written in bulk, before the stream began."""

_CACHED_BYTES = ITEM_STATE.itemsize + 250
_NOTHING = empty_items(1).tobytes()


class ItemWriter:
    """Reads and writes items' parts and the view `item_purchases`.

    Parameters
    ----------
    partitions: of the interactions topic.
    cache_bytes: how much of the parts of this worker's own sources to hold in process.
    """

    def __init__(self, store: OnlineStore, shop: Shop, partitions: int, cache_bytes: int = 128 << 20) -> None:
        self._store = store
        self._layout = item_purchases(shop)
        self._partials = ItemPartials(store, [*map(str, range(partitions)), BACKFILL])
        self._cache: StateCache[bytes] = StateCache(cache_bytes)

    def forget(self) -> None:
        """Drop what is held in process, as when partitions change hands."""
        self._cache.clear()

    def parts(self, source: str, item_ids: Sequence[str]) -> ItemStates:
        """Return ``ITEM_STATE[k]``: the items' parts of a source, empty ones where it has none."""
        held = [self._cache.get(f"{source}:{item}") for item in item_ids]
        missing = [item for item, part in zip(item_ids, held, strict=True) if part is None]
        read = iter(_parts_of(source, self._partials.read(missing)) if missing else ())
        return read_states([next(read) if part is None else part for part in held])

    def write(self, source: str, version: int, items: Sequence[tuple[str, bytes]], time: int) -> None:
        """Replace a source's parts where they are older, then write the totals.

        Parameters
        ----------
        version: offset before which the parts hold everything.
        items: ids, each once, with their ``ITEM_STATE`` bytes.
        time: of the rows, microseconds since the epoch.
        """
        ids = [item for item, _ in items]
        states = read_states([part for _, part in items])
        _, found = self._partials.exchange(source, ids, states, np.full(len(ids), version, dtype=np.int64))
        for item, part in items:
            self._cache.put(f"{source}:{item}", part, _CACHED_BYTES)
        self._write_totals(ids, found, time)
        self._cache.shrink()

    def _write_totals(self, item_ids: Sequence[str], found: Partials, time: int) -> None:
        sums = total(found.states, found.offsets)
        n = len(item_ids)
        self._store.write_rows(
            self._layout,
            item_ids,
            {
                **{name: sums[name] for name in (*TOTALS, "newest_day", "hot_slot")},
                **{name: [ring.tobytes() for ring in sums[name]] for name in ("daily", "hot")},
            },
            np.full(n, time, dtype=np.int64),
            found.total_versions(),
            version_field=VERSION,
            replace_same=True,
        )
        STORE_ROWS.labels(ITEM_PURCHASES).inc(n)


def _parts_of(source: str, found: Partials) -> list[bytes]:
    """Return each item's part of one source."""
    bounds = found.offsets.tolist()
    out = []
    for start, end in pairwise(bounds):
        at = next((i for i in range(start, end) if found.sources[i] == source), None)
        out.append(_NOTHING if at is None else found.states[at].tobytes())
    return out
