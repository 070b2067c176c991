"""The changelogs: every new state of a customer and of an item's part, as compacted topics."""

from collections.abc import Sequence

import msgspec

from feature_repo.customer_state import SEEN_ID, CustomerRow
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


class _State(msgspec.Struct):
    """A record of `features-customers`: a `CustomerRow`, of what is sealed only the number of ids."""

    history: bytes
    recent: bytes
    ids: bytes
    evicted: bytes
    position: int
    sealed: int = 0


class _SeenIds(msgspec.Struct):
    """A record of `features-seen-ids`: what is sealed, and the position of the row that it belonged to first."""

    ids: bytes
    position: int


class _Position(msgspec.Struct):
    position: int


_ENCODE = msgspec.msgpack.Encoder().encode
_STATE = msgspec.msgpack.Decoder(_State)
_SEEN_IDS = msgspec.msgpack.Decoder(_SeenIds)
_POSITION = msgspec.msgpack.Decoder(_Position)


def customer_row(state: bytes, sealed: bytes | None) -> CustomerRow:
    """Return what two records of a customer say together.

    Parameters
    ----------
    state, sealed: of `features-customers` and, if there is one, of `features-seen-ids`.

    Raises
    ------
    ValueError: the second one is not what the first was written beside.
    """
    found = _STATE.decode(state)
    ids = _SEEN_IDS.decode(sealed).ids if sealed and found.sealed else b""
    if len(ids) != found.sealed * SEEN_ID.itemsize:
        raise ValueError(f"{found.sealed} sealed ids belong to the state, {len(ids) // SEEN_ID.itemsize} are there")
    return CustomerRow(found.history, found.recent, found.ids, found.evicted, found.position, ids)


def position_of(record: bytes) -> int:
    """Return the position in a record of either kind."""
    return _POSITION.decode(record).position


class Changelog:
    """Sends to `features-customers`, `features-seen-ids` and `features-items`.

    ``features-customers``: key customer id, value MessagePack map of ``history``, ``recent``, ``evicted``, ``ids``
    (packed arrays), ``position`` and ``sealed``, a number. ``features-seen-ids``: key customer id, value MessagePack
    map of ``ids``, so many sealed ones, and ``position``; sent when they have changed. ``features-items``: key
    ``<source>:<item id>``, value ``ITEM_STATE`` bytes, header ``position``: the offset before which the part holds
    everything. A tombstone of a customer has the header too: the offset of the erasure, or of the state without sealed
    ids. ``features-positions``: key source, value `Marked` as JSON.
    """

    def __init__(self, sender: Sender, topics: Topics) -> None:
        self._sender = sender
        self._customers = topics.features_customers.name
        self._seen_ids = topics.features_seen_ids.name
        self._items = topics.features_items.name
        self._positions = topics.features_positions.name

    def customers(
        self,
        customer_ids: Sequence[str],
        rows: Sequence[CustomerRow],
        sealed_before: Sequence[bytes] | None = None,
    ) -> None:
        """Send the customers' new states; what is sealed only where it was another before, if that is told."""
        old = sealed_before or [b""] * len(rows)
        for customer, row, sealed in zip(customer_ids, rows, old, strict=True):
            key = customer.encode()
            state = _State(*row[:5], len(row.sealed) // SEEN_ID.itemsize)
            self._sender.send(self._customers, _ENCODE(state), key)
            if row.sealed != sealed:
                self._send_seen_ids(key, row)

    def _send_seen_ids(self, key: bytes, row: CustomerRow) -> None:
        if row.sealed:
            self._sender.send(self._seen_ids, _ENCODE(_SeenIds(row.sealed, row.position)), key)
        else:
            self._sender.send(self._seen_ids, None, key, [("position", b"%d" % row.position)])

    def forget_customers(self, customer_ids: Sequence[str], positions: Sequence[int] | None = None) -> None:
        """Send tombstones; `positions` are the offsets of erasures in the stream, if that is what they are for."""
        for at, customer in enumerate(customer_ids):
            headers: list[tuple[str, str | bytes | None]] = []
            if positions is not None:
                headers = [("position", b"%d" % positions[at])]
            for topic in (self._customers, self._seen_ids):
                self._sender.send(topic, None, customer.encode(), headers)

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
