"""The similarity process at work: changed texts into vectors at once, baskets into neighbours at intervals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from confluent_kafka import KafkaException, Producer

from feature_repo.shop import Shop
from streams import offline
from streams.contracts.codec import decode, decode_item, encode
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.events import Item
from streams.contracts.observability import logger
from streams.contracts.operations import ItemNeighbours
from streams.contracts.rejection import Rejected
from streams.sender import Sender
from trainer.similarity import baskets
from trainer.similarity.embedder import Embedder
from trainer.similarity.encoders import TextEncoder
from trainer.similarity.neighbours import Plan, changed, neighbours
from trainer.similarity.settings import SimilaritySettings

log = logger(__name__)

TEXTS_AT_ONCE = 64
"""So few that a change has not long to wait while a whole catalogue is being embedded."""
PAUSE_S = 0.1
RETRY_S = 1.0
PATIENCE_S = 10.0
UNTIL_FIRST_S = 5.0
"""As long as there are no neighbours at all, baskets are looked for so often."""


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


class Neighbours:
    """Counts baskets and publishes what has changed. For one thread."""

    def __init__(self, settings: SimilaritySettings, plan: Plan | None = None) -> None:
        topics = settings.trainer.topics
        self._store, self._plan = settings.trainer.store, plan or Plan()
        self._topic = topics.item_neighbours.name
        self._sender = Sender(Producer(settings.trainer.producer_config()))
        self._published: dict[str, ItemNeighbours] = {}
        self._counted: object = None
        with CompactedTable(self._topic, settings.trainer.kafka_config()) as published:
            for record in published.load():
                self._note(record)

    @property
    def empty(self) -> bool:
        """Whether no item has neighbours: the shop's history has not come yet."""
        return not self._published

    def count(self, categories: dict[str, str]) -> int:
        """Count if there is something new, and publish; returns how many items' neighbours have changed.

        Parameters
        ----------
        categories
            By item id, of the items that the catalogue lists.

        Raises
        ------
        KafkaException
            Not everything was delivered; it is published again by the next count.
        """
        state = (
            offline.positions(self._store),
            sorted(each.name for each in (self._store / "erasures").glob("*.json")),
        )
        if state == self._counted:
            return 0
        started = time.monotonic()
        found = baskets.read(offline.interactions(self._store, columns=baskets.COLUMNS))
        numbers = {category: number for number, category in enumerate(sorted({*categories.values()} - {""}))}
        kind = np.array([numbers.get(categories.get(each, ""), -1) for each in found.item_ids], np.int64)
        listed = np.array([each in categories for each in found.item_ids], np.bool_)
        counted = {each.item_id: each for each in neighbours(found, kind, listed, self._plan)}
        changes = changed(counted, self._published)
        for item_id, value in changes.items():
            self._sender.send(self._topic, None if value is None else encode(value), item_id.encode())
        self._sender.flush()
        self._published, self._counted = counted, state
        seconds = round(time.monotonic() - started, 1)
        log.info("baskets counted", baskets=len(found), items=len(counted), changed=len(changes), seconds=seconds)
        return len(changes)

    def close(self) -> None:
        """Leave the broker."""
        self._sender.close()

    def _note(self, record: Record) -> None:
        item_id = record.key.decode(errors="replace")
        self._published.pop(item_id, None)
        if record.value:
            try:
                self._published[item_id] = decode(record.value, ItemNeighbours)
            except Rejected as error:
                log.warning("neighbours made anew", item=item_id, offset=record.offset, why=str(error))


class Counting:
    """Counts at intervals in a thread of its own, so that changed texts need not wait."""

    def __init__(self, counter: Neighbours, categories: Callable[[], dict[str, str]], every_s: float) -> None:
        self._counter, self._categories, self._every_s = counter, categories, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counting", daemon=True)

    def start(self) -> None:
        """Count now, and then at intervals."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a count under way is given a moment, and made anew by the next process."""
        self._stop.set()
        self._thread.join(timeout=PATIENCE_S)
        if not self._thread.is_alive():
            self._counter.close()

    def _run(self) -> None:
        while True:
            try:
                self._counter.count(self._categories())
            except Exception:
                log.exception("baskets not counted")  # what was published stays; the next count starts over
            if self._stop.wait(min(self._every_s, UNTIL_FIRST_S) if self._counter.empty else self._every_s):
                return
