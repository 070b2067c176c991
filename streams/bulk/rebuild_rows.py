"""Writing a rebuilt state's rows."""

import time
from collections.abc import Callable, Iterator, Mapping

from feature_repo.catalogue import Catalogue
from feature_repo.item_partials import ItemPartials
from feature_repo.item_totals import write_totals
from feature_repo.shop import Shop
from feature_repo.views import item_purchases
from streams.bulk.backfill import Progress, Stores
from streams.bulk.rebuilt import Block, Parts
from streams.ingest.changelog import Changelog
from streams.ingest.customer_writer import CustomerWriter
from streams.ingest.item_ids import remember_all
from streams.ingest.item_writer import BACKFILL

_ITEMS_AT_ONCE = 5_000


class Rows:
    """Writes customers and items of a rebuilt state into an empty online store, and into the changelogs.

    Parameters
    ----------
    catalogue: of the shop's items.
    report: told about the progress.
    """

    def __init__(
        self,
        stores: Stores,
        shop: Shop,
        catalogue: Catalogue,
        changelog: Changelog,
        report: Callable[[Progress], None],
    ) -> None:
        self._stores = stores
        self._catalogue = catalogue
        self._changelog = changelog
        self._report = report
        self._customers = CustomerWriter(stores.store, shop, catalogue)
        self._item_layout = item_purchases(shop)
        self._partials = ItemPartials(stores.store, [*map(str, range(stores.partitions)), BACKFILL])

    def customers(self, block: Block, again: bool) -> int:
        """Write customers; return how many. `again`: send them to the changelog, too."""
        self._customers.write(block.customer_ids, block.states, block.rows, block.arrived, replace_same=True)
        if again:
            self._changelog.customers(block.customer_ids, block.rows)
        return len(block.customer_ids)

    def items(self, parts: Mapping[str, Parts], again: bool) -> int:
        """Write items' parts by source, then the totals; return how many items. `again`: see `customers`."""
        ids = sorted({item for each in parts.values() for item in each.item_ids})
        remember_all(self._stores.client, self._catalogue, ids)
        for source, each in parts.items():
            for rows in _slices(len(each.item_ids)):
                some, states, versions = each.item_ids[rows], each.states[rows], each.versions[rows]
                self._partials.write(source, some, states, versions)
                if again:
                    for item, state, version in zip(some, states, versions.tolist(), strict=True):
                        self._changelog.items(source, version, [(item, state.tobytes())])
        for rows in _slices(len(ids)):
            some = ids[rows]
            write_totals(self._stores.store, self._item_layout, some, self._partials.read(some), time.time_ns() // 1000)
            self._report(Progress("items", rows.stop, len(ids)))
        return len(ids)


def _slices(n: int) -> Iterator[slice]:
    return (slice(first, min(first + _ITEMS_AT_ONCE, n)) for first in range(0, n, _ITEMS_AT_ONCE))
