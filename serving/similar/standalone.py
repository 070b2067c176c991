"""Similar items in a process that has no engine: a command, a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from feature_repo.shop import load_shop
from serving.items_follower import catalogue_changes, feature_records
from serving.items_table import ItemsTable
from serving.similar.similar_items import SimilarItems
from streams.contracts.compacted import CompactedTable
from streams.settings import Settings


class Standalone:
    """Items and similar items as the topics tell them; `follow` takes in what has come since of the catalogue."""

    def __init__(self, settings: Settings) -> None:
        topics, config = settings.topics, settings.kafka_config()
        self.items = ItemsTable(load_shop(settings.shop))
        self._catalogue = CompactedTable(topics.items.name, config)
        exponent = self.items.shop.currency_exponent
        self.items.apply_catalogue(catalogue_changes(self._catalogue.load(), exponent))
        with CompactedTable(topics.features_items.name, config) as features:
            self.items.apply_features(feature_records(features.load()))
        self.similar = SimilarItems(self.items, topics, config, lambda: self.items.newest_event_at)
        self.similar.start()

    def follow(self, timeout_s: float = 0.0) -> None:
        """Wait up to so many seconds for changes of items, and take them in."""
        changes = catalogue_changes(self._catalogue.poll(timeout_s), self.items.shop.currency_exponent)
        self.items.apply_catalogue(changes)

    def close(self) -> None:
        """Leave Kafka."""
        self.similar.stop()
        self._catalogue.close()


@contextmanager
def standalone(settings: Settings) -> Iterator[Standalone]:
    """Loaded for the block.

    Raises
    ------
    LookupError, TimeoutError, KafkaException
        A topic doesn't exist, or Kafka doesn't answer.
    """
    found = Standalone(settings)
    try:
        yield found
    finally:
        found.close()
