"""Keeps the items in process in step with the topics `items` and `features-items`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import redis

from feature_repo.catalogue import CatalogueItem
from serving.deleted_items import DeletedItems
from serving.items_table import FeatureRecord, ItemsTable
from streams.catalogue_feed import catalogue_item
from streams.contracts.codec import decode_item
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.observability import logger
from streams.contracts.rejection import Rejected
from streams.contracts.topics import Topics

log = logger(__name__)

CHUNK = 20_000
PAUSE_S = 0.05
TRENDING_EVERY_S = 2.0
HOT_EVERY_S = 0.5


def catalogue_changes(records: Iterable[Record], currency_exponent: int) -> dict[str, CatalogueItem | None]:
    """Items by id as their records tell, None for a tombstone; a record that is no item changes nothing."""
    changes: dict[str, CatalogueItem | None] = {}
    for record in records:
        item_id = record.key.decode(errors="replace")
        if not record.value:
            changes[item_id] = None
            continue
        try:
            item = decode_item(record.value, key=record.key)
        except Rejected as error:
            log.warning("item ignored", item=item_id, partition=record.partition, offset=record.offset, why=str(error))
            continue
        changes[item_id] = catalogue_item(item, currency_exponent)
    return changes


def feature_records(records: Iterable[Record]) -> list[FeatureRecord]:
    """Parts of item states as their records tell; the key is `<source>:<item id>`."""
    parts = []
    for record in records:
        source, _, item_id = record.key.decode().partition(":")
        parts.append(FeatureRecord(source, item_id, record.value or None))
    return parts


class ItemsFollower:
    """Loads both topics, then follows them in a thread of its own until `stop`."""

    def __init__(self, table: ItemsTable, deleted: DeletedItems, topics: Topics, config: Mapping[str, Any]) -> None:
        self._table = table
        self._deleted = deleted
        self._items = CompactedTable(topics.items.name, config)
        self._features = CompactedTable(topics.features_items.name, config)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="items", daemon=True)

    def load(self) -> None:
        """Read both topics up to the end offsets seen at the start; raises TimeoutError where Kafka stalls."""
        for chunk in _chunks(self._items.load()):
            self._table.apply_catalogue(catalogue_changes(chunk, self._table.shop.currency_exponent))
        for chunk in _chunks(self._features.load()):
            self._table.apply_features(feature_records(chunk))
        self._withdraw_deleted()
        log.info("items loaded", items=len(self._table.catalogue))

    def start(self) -> None:
        """Follow what comes next."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread and leave Kafka."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._items.close()
        self._features.close()

    def _follow(self) -> None:
        trending_at = hot_at = time.monotonic()
        while not self._stop.wait(PAUSE_S):
            try:
                self._step()
                if time.monotonic() - trending_at > TRENDING_EVERY_S:
                    self._table.refresh_trending()
                    trending_at = time.monotonic()
                if time.monotonic() - hot_at > HOT_EVERY_S:
                    self._table.refresh_hot()
                    hot_at = time.monotonic()
            except Exception:
                # Items as they were are still served; the next record of an item repairs it.
                log.exception("items not followed")

    def _step(self) -> None:
        features = self._features.poll(PAUSE_S)
        if features:
            self._table.apply_features(feature_records(features))
        items = self._items.poll(0)
        if items:
            self._table.apply_catalogue(catalogue_changes(items, self._table.shop.currency_exponent))
        self._withdraw_deleted()

    def _withdraw_deleted(self) -> None:
        try:
            withdrawn = self._deleted.withdraw()
        except redis.RedisError as error:  # looked up at the next step
            log.warning("deleted items not looked up", why=str(error))
            return
        if withdrawn:
            log.info("deleted items withdrawn", items=withdrawn)


def _chunks(records: Iterable[Record]) -> Iterable[list[Record]]:
    iterator = iter(records)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
