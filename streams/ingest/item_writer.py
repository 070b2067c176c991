"""Items' state in the online store: an absolute part for each source, and the total that is served.

The total's version is the sum of the parts' versions. A total is written together with a part, and only where it is
made of the very parts that the store holds; else whoever wrote the part reads the others afterwards, hence the
highest sum has seen them all.
"""

from collections.abc import Callable, Sequence

import numpy as np

from feature_repo.item_partials import ItemPartials
from feature_repo.item_totals import NONE, post_parts_and_totals, write_totals
from feature_repo.items_state import ItemStates, read_states, slow_part, total
from feature_repo.online_store import OnlineStore, Outcome
from feature_repo.ragged import Int64, pick
from feature_repo.shop import Shop
from feature_repo.views import ITEM_PURCHASES, item_purchases
from streams.contracts.observability import STORE_ROWS
from streams.ingest.known_parts import KnownParts

BACKFILL = "backfill"
"""Source of what was written in bulk, before the stream began."""


class ItemWriter:
    """Reads and writes items' parts and the view `item_purchases`.

    Parameters
    ----------
    partitions: of the interactions topic.
    cache_bytes: how much of the parts to hold in process.
    """

    def __init__(self, store: OnlineStore, shop: Shop, partitions: int, cache_bytes: int = 128 << 20) -> None:
        self._store = store
        self._layout = item_purchases(shop)
        self._partials = ItemPartials(store, [*map(str, range(partitions)), BACKFILL])
        self._known = KnownParts(self._partials.sources, cache_bytes)

    def forget(self) -> None:
        """Drop what is held in process, as when partitions change hands."""
        self._known.clear()

    def parts(self, source: str, item_ids: Sequence[str]) -> ItemStates:
        """Return ``ITEM_STATE[k]``: the items' parts of a source, empty ones where it has none."""
        return self._known.parts(self._rows(item_ids), source)

    def write(self, source: str, version: int, items: Sequence[tuple[str, bytes]], time: int) -> None:
        """Replace a source's parts where they are older, and the totals with them.

        `post` begins the same and returns what waits for it, see `feature_repo.redis_commands.post`.

        Parameters
        ----------
        version: offset before which the parts hold everything.
        items: ids, each once, with their ``ITEM_STATE`` bytes.
        time: of the rows, microseconds since the epoch.
        """
        self.post(source, version, items, time)()

    def post(self, source: str, version: int, items: Sequence[tuple[str, bytes]], time: int) -> Callable[[], None]:
        """Begin what `write` does."""
        ids = [item for item, _ in items]
        rows = self._rows(ids)
        parts = read_states([part for _, part in items])
        before, known = self._known.parts(rows, source), self._known.versions_of(rows, source)
        looked = (known != NONE) & (slow_part(before) == slow_part(parts)).all(axis=1)
        self._known.put(rows, source, parts, version)
        sums = total(*self._known.of(rows))
        posted = []
        for chosen, versions in ((np.flatnonzero(~looked), None), (np.flatnonzero(looked), known)):
            if len(chosen):
                written = post_parts_and_totals(
                    self._store,
                    self._layout,
                    self._partials.sources,
                    source,
                    [ids[at] for at in chosen.tolist()],
                    pick(parts, chosen),
                    pick(sums, chosen),
                    self._known.versions[rows[chosen]],
                    time,
                    None if versions is None else versions[chosen],
                )
                posted.append((chosen, written))
        STORE_ROWS.labels(ITEM_PURCHASES).inc(len(ids))

        def done() -> None:
            outcomes = np.full(len(ids), Outcome.OTHER, dtype=np.int8)
            for chosen, written in posted:
                outcomes[chosen] = written()
            others = np.flatnonzero(outcomes != Outcome.WRITTEN)
            if len(others):
                self._write_totals([ids[at] for at in others.tolist()], rows[others], time)

        return done

    def _rows(self, item_ids: Sequence[str]) -> Int64:
        """Return the items' rows of what is known, read where nothing is."""
        missing = self._known.missing(item_ids)
        if not self._known.has_room(len(missing)):
            self._known.clear()
            missing = list(item_ids)
        if missing:
            self._known.add(missing, self._partials.read(missing))
        return self._known.rows(item_ids)

    def _write_totals(self, item_ids: Sequence[str], rows: Int64, time: int) -> None:
        """Read all parts, which another worker has written to, and write what they come to."""
        found = self._partials.read(item_ids)
        self._known.replace(rows, found)
        write_totals(self._store, self._layout, item_ids, found, time)
