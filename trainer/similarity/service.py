"""The items' topic followed: what has changed is made a vector at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from confluent_kafka import KafkaException, Producer

from feature_repo.shop import Shop
from streams.contracts.codec import decode_item
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.events import Item
from streams.contracts.observability import SIMILAR_DUE, logger
from streams.contracts.rejection import Rejected
from streams.sender import Sender
from trainer.similarity.embedder import Embedder
from trainer.similarity.encoders import TextEncoder
from trainer.similarity.settings import SimilaritySettings

log = logger(__name__)

TEXTS_AT_ONCE = 64
"""So few that a change has not long to wait while a whole catalogue is being embedded."""
PAUSE_S = 0.1
RETRY_S = 1.0


def decoded(records: Iterable[Record]) -> Iterator[tuple[str, Item | None]]:
    """Items by id as their records tell, None for a tombstone; records that are no items are left out."""
    for record in records:
        item_id = record.key.decode(errors="replace")
        if not record.value:
            yield item_id, None
            continue
        try:
            yield item_id, decode_item(record.value, key=record.key)
        except Rejected as error:
            log.warning("item ignored", item=item_id, offset=record.offset, why=str(error))


class Embeddings:
    """Follows the items and publishes their vectors. For one thread.

    Attributes
    ----------
    categories
        By item id, of the items that the catalogue lists; "" for those without.
    """

    def __init__(self, settings: SimilaritySettings, shop: Shop, encoder: TextEncoder) -> None:
        topics, config = settings.trainer.topics, settings.trainer.kafka_config()
        self._topic, self._category = topics.item_embeddings.name, shop.category
        self._items = CompactedTable(topics.items.name, config)
        self._sender = Sender(Producer({**settings.trainer.producer_config(), "linger.ms": 5}))
        self._embedder = Embedder(encoder)
        self.categories: dict[str, str] = {}
        with CompactedTable(self._topic, config) as published:
            self._embedder.take_published(published.load())
        self._take(self._items.load())
        self._embedder.forget_unlisted()
        log.info("items read", items=len(self.categories), to_publish=len(self._embedder))

    @property
    def behind(self) -> int:
        """Items whose vectors have still to be published."""
        return len(self._embedder)

    def step(self) -> None:
        """Take in what has changed, and publish some of what is due; waits a moment where nothing is."""
        self._take(self._items.poll(0 if self.behind else PAUSE_S))
        SIMILAR_DUE.set(self.behind)
        if not self.behind:
            return
        changes = self._embedder.work(lambda key, value: self._sender.send(self._topic, value, key), TEXTS_AT_ONCE)
        try:
            self._sender.flush()
        except KafkaException as error:
            log.warning("vectors not published, once more", items=len(changes), why=str(error))
            self._embedder.retry(changes)
            time.sleep(RETRY_S)

    def close(self) -> None:
        """Leave the broker."""
        self._items.close()
        self._sender.close()

    def _take(self, records: Iterable[Record]) -> None:
        found = list(decoded(records))
        for item_id, item in found:
            if item is None:
                self.categories.pop(item_id, None)
            else:
                self.categories[item_id] = item.attributes.get(self._category, "")
        self._embedder.take_items(found)
