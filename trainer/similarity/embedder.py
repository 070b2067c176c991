"""Items' texts into vectors: what has changed is embedded, each text once, the newest change first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from streams.contracts import embeddings
from streams.contracts.compacted import Record
from streams.contracts.embeddings import DIGEST_BYTES, Embedding
from streams.contracts.events import Item
from streams.contracts.observability import SIMILAR_EMBEDDED, logger
from trainer.similarity.encoders import TextEncoder
from trainer.similarity.item_text import item_text

log = logger(__name__)

REMEMBERED = 200_000
"""Texts whose vectors are kept: at 384 numbers of 2 bytes, 150 MB."""

AT_ONCE = 1_000
"""Items published in one go; far fewer than `REMEMBERED`, so that none of their vectors is forgotten meanwhile."""

Changes = dict[str, tuple[bytes, str] | None]
"""By item id: digest and text of what it should be a vector of, None where it should have none."""

Publish = Callable[[bytes, bytes | None], None]
"""Queues a record: key and value."""


class Embedder:
    """Knows what is published for each item and what should be; `work` brings the one to the other.

    Pure but for `encoder`: records go in, records come out.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._published: dict[str, bytes] = {}
        self._wanted: Changes = {}
        self._listed: set[str] = set()
        self._vectors: OrderedDict[bytes, NDArray[np.float16]] = OrderedDict()

    def __len__(self) -> int:
        """Items of which something has to be published."""
        return len(self._wanted)

    def take_published(self, records: Iterable[Record]) -> None:
        """Learn what an earlier run has published; texts of this encoder need not be embedded again."""
        for record in records:
            item_id = record.key.decode(errors="replace")
            self._published.pop(item_id, None)
            if not record.value:
                continue
            try:
                found = embeddings.decode(record.value)
            except ValueError as error:
                log.warning("embedding made anew", item=item_id, offset=record.offset, why=str(error))
                self._published[item_id] = b""
                continue
            self._published[item_id] = found.text
            if found.encoder == self._encoder.name:
                self._remember(found.text, found.vector.astype(np.float16))

    def take_items(self, items: Iterable[tuple[str, Item | None]]) -> None:
        """Learn what items are now, by id; None for a deleted one."""
        for item_id, item in items:
            if item is None:
                self._listed.discard(item_id)
                self._want(item_id, None)
            else:
                self._listed.add(item_id)
                text = item_text(item)
                self._want(item_id, (self._digest(text), text) if text else None)

    def forget_unlisted(self) -> None:
        """Have what is published of items that are not listed taken away: their deletion was missed."""
        for item_id in self._published.keys() - self._listed:
            self._want(item_id, None)

    def work(self, publish: Publish, texts: int) -> Changes:
        """Publish changes, the newest first, until so many texts had to be embedded; returns what was published."""
        changes: Changes = {}
        new: dict[bytes, str] = {}
        while self._wanted and len(new) < texts and len(changes) < AT_ONCE:
            item_id, wanted = self._wanted.popitem()
            changes[item_id] = wanted
            if wanted is None:
                continue
            if wanted[0] in self._vectors:
                self._vectors.move_to_end(wanted[0])
            else:
                new[wanted[0]] = wanted[1]
        if new:
            SIMILAR_EMBEDDED.inc(len(new))
            for digest, vector in zip(new, self._encoder.encode(list(new.values())), strict=True):
                self._remember(digest, vector.astype(np.float16))
        for item_id, wanted in changes.items():
            publish(item_id.encode(), None if wanted is None else self._record(wanted[0]))
            self._note(item_id, wanted)
        return changes

    def retry(self, changes: Changes) -> None:
        """Have published again what Kafka may not have, unless something newer is to be published anyway."""
        for item_id, wanted in changes.items():
            self._published[item_id] = b""
            self._wanted.setdefault(item_id, wanted)

    def _record(self, digest: bytes) -> bytes:
        return embeddings.encode(Embedding(self._encoder.name, digest, self._vectors[digest].astype(np.float32)))

    def _want(self, item_id: str, wanted: tuple[bytes, str] | None) -> None:
        self._wanted.pop(item_id, None)
        if self._published.get(item_id) != (None if wanted is None else wanted[0]):
            self._wanted[item_id] = wanted

    def _note(self, item_id: str, wanted: tuple[bytes, str] | None) -> None:
        if wanted is None:
            self._published.pop(item_id, None)
        else:
            self._published[item_id] = wanted[0]

    def _digest(self, text: str) -> bytes:
        return blake2b(f"{self._encoder.name}\0{text}".encode(), digest_size=DIGEST_BYTES).digest()

    def _remember(self, digest: bytes, vector: NDArray[np.float16]) -> None:
        self._vectors[digest] = vector
        self._vectors.move_to_end(digest)
        while len(self._vectors) > REMEMBERED:
            self._vectors.popitem(last=False)
