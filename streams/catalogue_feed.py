"""The catalogue of a process, kept up to date from the topic `items`."""

from collections.abc import Iterable

from feature_repo.catalogue import Catalogue, CatalogueItem
from feature_repo.shop import Shop
from streams.contracts.codec import Limits, decode_item, line_amount
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.events import Item
from streams.contracts.observability import logger
from streams.contracts.rejection import Rejected

log = logger(__name__)


def catalogue_item(item: Item, exponent: int) -> CatalogueItem:
    """Return a catalogue record as the kernels want it; `exponent`: decimal digits of the minor unit."""
    price = line_amount(item.price, 1, exponent)
    return CatalogueItem(item.item_id, item.name, item.available, price, item.attributes)


class CatalogueFeed:
    """Fills a `Catalogue` from the topic: `load` once, then `poll` now and then, from one thread.

    Records that can't be used are left out; the agent of the topic sends them to the dead letters.

    Parameters
    ----------
    table: of the topic `items`.
    """

    def __init__(self, table: CompactedTable, shop: Shop) -> None:
        self._table = table
        self._exponent = shop.currency_exponent
        self._limits = Limits(currency_exponent=shop.currency_exponent)
        self.catalogue = Catalogue(shop.item_attributes)

    def load(self) -> int:
        """Read what is there; return the number of items known then."""
        self._take(self._table.load())
        return len(self.catalogue)

    def catch_up(self) -> None:
        """Read all that has come since, however much it is."""
        self._take(self._table.catch_up())

    def poll(self, timeout: float = 0.0) -> None:
        """Read some of what has come since."""
        self._take(self._table.poll(timeout))

    def close(self) -> None:
        """Leave the broker."""
        self._table.close()

    def _take(self, records: Iterable[Record]) -> None:
        for record in records:
            try:
                if record.value:
                    item = decode_item(record.value, self._limits, key=record.key)
                    self.catalogue.upsert([catalogue_item(item, self._exponent)])
                else:
                    self.catalogue.withdraw(record.key.decode())
            except (Rejected, UnicodeDecodeError, ValueError) as error:
                log.warning("catalogue record left out", offset=record.offset, error=str(error))
