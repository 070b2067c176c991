"""Baskets counted at intervals: what they say of items beside each other, published where it has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from confluent_kafka import Producer

from streams import offline
from streams.contracts.codec import decode, encode
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.observability import (
    SIMILAR_BASKETS,
    SIMILAR_COUNT_SECONDS,
    SIMILAR_COUNTED_UNTIL,
    SIMILAR_COUNTS,
    SIMILAR_NEIGHBOURS,
    SIMILAR_PUBLISHED,
    logger,
)
from streams.contracts.operations import ItemNeighbours
from streams.contracts.rejection import Rejected
from streams.sender import Sender
from trainer.similarity.baskets import Baskets
from trainer.similarity.neighbours import Plan, neighbours
from trainer.similarity.published import Published, digest
from trainer.similarity.reading import COLUMNS, read
from trainer.similarity.settings import SimilaritySettings

log = logger(__name__)

PATIENCE_S = 10.0
UNTIL_FIRST_S = 5.0
"""As long as there are no neighbours at all, baskets are looked for so often."""


class Neighbours:
    """Counts baskets and publishes what has changed. For one thread."""

    def __init__(self, settings: SimilaritySettings, plan: Plan | None = None) -> None:
        topics = settings.trainer.topics
        self._store, self._plan = settings.trainer.store, plan or Plan()
        self._topic = topics.item_neighbours.name
        self._sender = Sender(Producer(settings.trainer.producer_config()))
        self._published = Published()
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
            SIMILAR_COUNTS.labels("nothing new").inc()
            return 0
        started = time.monotonic()
        found = read(offline.parts(self._store, columns=COLUMNS))
        changes = self._publish(found, categories)
        self._counted = state
        seconds = time.monotonic() - started
        SIMILAR_COUNTS.labels("counted").inc()
        SIMILAR_COUNT_SECONDS.observe(seconds)
        SIMILAR_BASKETS.set(len(found))
        SIMILAR_NEIGHBOURS.set(len(self._published))
        SIMILAR_PUBLISHED.inc(changes)
        if len(found):
            SIMILAR_COUNTED_UNTIL.set(int(found.time.max()) / 1e6)
        log.info(
            "baskets counted",
            baskets=len(found),
            items=len(self._published),
            changed=changes,
            seconds=round(seconds, 1),
        )
        return changes

    def _publish(self, found: Baskets, categories: dict[str, str]) -> int:
        """Publish what is not published yet, as it is counted; returns how many records."""
        numbers = {category: number for number, category in enumerate(sorted({*categories.values()} - {""}))}
        kind = np.array([numbers.get(categories.get(each, ""), -1) for each in found.item_ids], np.int64)
        listed = np.array([each in categories for each in found.item_ids], np.bool_)
        counted, sent = set(), []
        for each in neighbours(found, kind, listed, self._plan):
            counted.add(each.item_id)
            if self._published.differs(each):
                self._sender.send(self._topic, encode(each), each.item_id.encode())
                sent.append((each.item_id, digest(each)))
        gone = self._published.besides(counted)
        for item_id in gone:
            self._sender.send(self._topic, None, item_id.encode())
        self._sender.flush()
        self._published.update(sent, gone)
        return len(sent) + len(gone)

    def close(self) -> None:
        """Leave the broker."""
        self._sender.close()

    def _note(self, record: Record) -> None:
        item_id = record.key.decode(errors="replace")
        if not record.value:
            self._published.update([], [item_id])
            return
        try:
            self._published.update([(item_id, digest(decode(record.value, ItemNeighbours)))])
        except Rejected as error:
            log.warning("neighbours made anew", item=item_id, offset=record.offset, why=str(error))
            self._published.update([(item_id, b"")])


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
                SIMILAR_COUNTS.labels("failed").inc()
                log.exception("baskets not counted")  # what was published stays; the next count starts over
            if self._stop.wait(min(self._every_s, UNTIL_FIRST_S) if self._counter.empty else self._every_s):
                return
