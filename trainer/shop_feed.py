"""The catalogue and the customers' profiles, kept up to date from their compacted topics."""

from __future__ import annotations

from collections.abc import Iterable

from feature_repo.catalogue import Catalogue
from feature_repo.shop import Shop
from streams.catalogue_feed import CatalogueFeed
from streams.contracts.codec import decode_customer
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.observability import logger
from streams.contracts.rejection import Rejected
from trainer.settings import TrainerSettings

log = logger(__name__)


class ShopFeed:
    """Reads both topics whole when made; `refresh` brings what has come since."""

    def __init__(self, settings: TrainerSettings, shop: Shop) -> None:
        config = settings.kafka_config()
        self._items = CatalogueFeed(CompactedTable(settings.topics.items.name, config), shop)
        self._customers = CompactedTable(settings.topics.customers.name, config)
        self.profiles: dict[str, dict[str, str]] = {}
        self._items.load()
        self._take(self._customers.load())

    @property
    def catalogue(self) -> Catalogue:
        """All items, with their attributes."""
        return self._items.catalogue

    def refresh(self) -> None:
        """Read all that has come since the last time: a model trained on half a catalogue is worth nothing."""
        self._items.catch_up()
        self._take(self._customers.catch_up())

    def close(self) -> None:
        """Leave the broker."""
        self._items.close()
        self._customers.close()

    def _take(self, records: Iterable[Record]) -> None:
        for record in records:
            try:
                if record.value:
                    customer = decode_customer(record.value, key=record.key)
                    self.profiles[customer.customer_id] = dict(customer.attributes)
                else:
                    self.profiles.pop(record.key.decode(), None)
            except (Rejected, UnicodeDecodeError) as error:
                log.warning("customer record left out", offset=record.offset, error=str(error))
