"""Keeps similar items in step with the topics `item-embeddings`, `item-neighbours` and `items`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from serving.similar.item_vectors import ItemVectors
from serving.similar.neighbour_lists import NeighbourLists
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.embeddings import Embedding, decode
from streams.contracts.observability import SIMILAR_LISTS, SIMILAR_VECTORS, logger
from streams.contracts.topics import Topics

log = logger(__name__)

CHUNK = 5_000
PAUSE_S = 0.05
INDEX_EVERY_S = 1.0


class Intake:
    """Puts records where answers find them. For one thread.

    Parameters
    ----------
    row
        The catalogue row of an item id, None while the item is not known.

    Attributes
    ----------
    vectors, neighbours
        What the topics have told.
    deleted
        Ids of items whose record is a tombstone.
    """

    def __init__(self, row: Callable[[str], int | None]) -> None:
        self.vectors, self.neighbours = ItemVectors(), NeighbourLists()
        self.deleted: set[str] = set()
        self._row = row
        self._waiting: dict[str, Embedding | None] = {}

    def take_items(self, records: Iterable[Record]) -> None:
        """Learn which items are deleted; their vectors go at once."""
        for record in records:
            item_id = record.key.decode(errors="replace")
            if record.value:
                self.deleted.discard(item_id)
                continue
            self.deleted.add(item_id)
            row = self._row(item_id)
            if row is not None:
                self.vectors.apply({row: None})

    def take_embeddings(self, records: Iterable[Record]) -> None:
        """Set what the records tell; of an item that the catalogue does not know yet, or no more, they wait."""
        for record in records:
            item_id = record.key.decode(errors="replace")
            try:
                self._waiting[item_id] = decode(record.value) if record.value else None
            except ValueError as error:
                log.warning("embedding ignored", item=item_id, offset=record.offset, why=str(error))
        changes: dict[int, Embedding | None] = {}
        for item_id, embedding in list(self._waiting.items()):
            row = self._row(item_id)
            if embedding is not None and (row is None or item_id in self.deleted):
                continue
            del self._waiting[item_id]
            if row is not None:
                changes[row] = embedding
        if changes:
            self.vectors.apply(changes)

    def index(self) -> None:
        """Build the indexes that have become stale; may run beside the rest, one at a time."""
        for encoder, vectors in list(self.vectors.of.items()):
            if vectors.stale:
                vectors.rebuild()
                log.info("similar items indexed", encoder=encoder, vectors=len(vectors))


class SimilarFollower:
    """Loads the topics, then follows them in a thread of its own until `stop`; another builds indexes."""

    def __init__(self, intake: Intake, topics: Topics, config: Mapping[str, Any]) -> None:
        self._intake = intake
        self._embeddings = CompactedTable(topics.item_embeddings.name, config)
        self._lists = CompactedTable(topics.item_neighbours.name, config)
        self._items = CompactedTable(topics.items.name, config)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, name="similar", daemon=True),
            threading.Thread(target=self._index, name="similar-index", daemon=True),
        ]

    def load(self) -> None:
        """Read the topics up to the end offsets seen at the start; raises TimeoutError where Kafka stalls."""
        intake = self._intake
        intake.take_items(self._items.load())
        intake.neighbours.apply(self._lists.load())
        for chunk in _chunks(self._embeddings.load()):
            intake.take_embeddings(chunk)
        intake.index()
        self._tell()
        log.info("similar items loaded", items=len(intake.vectors), neighbours=len(intake.neighbours))

    def start(self) -> None:
        """Follow what comes next."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads and leave Kafka."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=30)
        for table in (self._embeddings, self._lists, self._items):
            table.close()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self._intake.take_embeddings(self._embeddings.poll(PAUSE_S))
                self._intake.neighbours.apply(self._lists.poll(0))
                self._intake.take_items(self._items.poll(0))
                self._tell()
            except Exception:
                # Answers go on from what is there; the next record of an item repairs it.
                log.exception("similar items not followed")
                self._stop.wait(PAUSE_S)

    def _tell(self) -> None:
        SIMILAR_VECTORS.set(len(self._intake.vectors))
        SIMILAR_LISTS.set(len(self._intake.neighbours))

    def _index(self) -> None:
        while not self._stop.wait(INDEX_EVERY_S):
            try:
                self._intake.index()
            except Exception:
                log.exception("index of similar items not built")  # the old one and an exact look still answer


def _chunks(records: Iterable[Record]) -> Iterable[list[Record]]:
    iterator = iter(records)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
