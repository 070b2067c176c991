"""The changelogs: every new state of a customer and of an item's part, as compacted topics."""

from collections.abc import Sequence

import msgspec

from feature_repo.customer_state import CustomerRow
from streams.contracts.topics import Topics
from streams.ingest.item_writer import BACKFILL
from streams.sender import Sender
from streams.topic_identity import TopicIdentity


class Marked(msgspec.Struct, frozen=True):
    """How far a source is in the changelogs.

    Attributes
    ----------
    position: everything before this offset is in them.
    topic, partitions: Kafka's id of the topic that the offset is of, and how many partitions it has.
    """

    position: int
    topic: str
    partitions: int


class _Row(msgspec.Struct):
    """A `CustomerRow` that MessagePack writes as a map."""

    history: bytes
    recent: bytes
    ids: bytes
    evicted: bytes
    position: int


_ENCODE = msgspec.msgpack.Encoder().encode


class Changelog:
    """Sends to `features-customers` and `features-items`.

    ``features-customers``: key customer id, value MessagePack map of ``history``, ``recent``, ``evicted``, ``ids``
    (packed arrays) and ``position``. ``features-items``: key ``<source>:<item id>``, value ``ITEM_STATE`` bytes,
    header ``position``: the offset before which the part holds everything. A tombstone of a customer who was erased
    has the header too: the offset of the erasure. ``features-positions``: key source, value `Marked` as JSON.
    """

    def __init__(self, sender: Sender, topics: Topics) -> None:
        self._sender = sender
        self._customers = topics.features_customers.name
        self._items = topics.features_items.name
        self._positions = topics.features_positions.name

    def customers(self, customer_ids: Sequence[str], rows: Sequence[CustomerRow]) -> None:
        """Send the customers' new states."""
        for customer, row in zip(customer_ids, rows, strict=True):
            self._sender.send(self._customers, _ENCODE(_Row(*row)), customer.encode())

    def forget_customers(self, customer_ids: Sequence[str], positions: Sequence[int] | None = None) -> None:
        """Send tombstones; `positions` are the offsets of erasures in the stream, if that is what they are for."""
        for at, customer in enumerate(customer_ids):
            headers: list[tuple[str, str | bytes | None]] = []
            if positions is not None:
                headers = [("position", b"%d" % positions[at])]
            self._sender.send(self._customers, None, customer.encode(), headers)

    def forget_items(self, keys: Sequence[bytes]) -> None:
        """Send tombstones for parts of items, by their keys."""
        for key in keys:
            self._sender.send(self._items, None, key)

    def backfilled(self, record: bytes | None) -> None:
        """Send the record of a backfill, None if there is none any more."""
        self._sender.send(self._positions, record, BACKFILL.encode())

    def position(self, partition: int, position: int, topic: TopicIdentity) -> None:
        """Say how far a partition is; everything before must have been delivered."""
        marked = Marked(position, topic.id, topic.partitions)
        self._sender.send(self._positions, msgspec.json.encode(marked), b"%d" % partition)

    def no_position(self, partition: int) -> None:
        """Say that there is no such partition any more."""
        self._sender.send(self._positions, None, b"%d" % partition)

    def items(self, source: str, version: int, items: Sequence[tuple[str, bytes]]) -> None:
        """Send the new parts of a source."""
        headers: list[tuple[str, str | bytes | None]] = [("position", b"%d" % version)]
        for item, part in items:
            self._sender.send(self._items, part, f"{source}:{item}".encode(), headers)
