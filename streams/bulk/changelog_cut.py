"""The state as the changelogs tell it, cut where it is known to be whole.

A batch is sent to the changelogs record by record, to several partitions of three topics. After a crash any part of
the last batch may be there and any part may be missing; a customer may be ahead of the items, or the items ahead of
each other. Taking every key's last record would lose or double what lies between.

Therefore the state is cut. ``features-positions`` says of every partition of the stream a position ``x`` before
which everything is in the changelogs; it is said after the batch that ends there was delivered. Every record says
how far it is: a customer's ``position`` is its last event's offset, an item part's is the end of its batch. Of each
key the newest record *before the cut* is taken: ``position < x`` of customers and of their sealed ids, ``position
<= x`` of parts. What is
beyond the cut is left out, and comes again from the stream, which goes on at ``x``.

Why that is exact. (1) The state of a key at a position depends on the events before it alone: kernels do not see how
events are cut into batches. So it does not matter which worker, or which attempt, has sent a record. (2) Whoever
said ``x`` had sent, for each key, its state after the last batch before ``x`` that touched it, and that had been
delivered. That record, or one of another attempt with the same position or a later one before ``x``, is the one
with the highest position before the cut; nothing touched the key in between, so both hold the same. (3) So customers
and parts are those of exactly the events before ``x``. Reading on at ``x`` applies every other event once.

Compaction must not have removed a record before the cut for one beyond it. Kafka leaves a record's predecessors for
``min.compaction.lag.ms`` after it, so a record beyond the cut that is younger proves that nothing was removed for
its sake. If an older one is found, the cut can't be proven and is refused: the offline store must serve then.

A tombstone without a position, a part without a version and a record of the base forget what stood before in the
log: a reset, or the base of a new epoch. A tombstone of an erased customer has a position like any other record.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import Consumer, Message
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports without __all__
    AdminClient,
    ConfigResource,
    ResourceType,
)

from feature_repo.customer_state import SEEN_ID, CustomerRow, CustomerStates
from feature_repo.items_state import ITEM_STATE
from streams.bulk.rebuilt import Block, CantRebuildError, Parts
from streams.contracts.partitioner import partition_of
from streams.contracts.topics import Topics
from streams.ingest.changelog import customer_row, position_of
from streams.ingest.feature_positions import read_markers
from streams.ingest.item_writer import BACKFILL
from streams.ingest.start import Backfilled
from streams.ranges import consumer_config, read_range
from streams.topic_identity import TopicIdentity
from streams.watermarks import watermarks

_BLOCK = 2_000
_MARGIN_MS = 60_000
"""How much younger than the lag a record beyond the cut must be: reading takes a while, clocks differ."""


class Held(NamedTuple):
    """A record; `at` is its timestamp."""

    position: int
    value: bytes
    at: int


@dataclass
class Cut:
    """The newest record of each key before a cut, as records come in the order of the log."""

    held: dict[str, Held] = field(default_factory=dict)
    oldest_beyond: int | None = None
    """Timestamp of the oldest record beyond the cut."""

    def take(self, key: str, position: int | None, value: bytes | None, at: int, inside: bool) -> None:
        """Look at a record.

        Parameters
        ----------
        position: None forgets what stood before.
        at: the record's timestamp.
        inside: whether it is before the cut.
        """
        if position is None:
            self.held.pop(key, None)
        elif not inside:
            self.oldest_beyond = min(at, self.oldest_beyond or at)
        elif value is None:
            self.held.pop(key, None)
        elif position <= 0 or key not in self.held or position >= self.held[key].position:
            self.held[key] = Held(position, value, at)


class ChangelogCut:
    """See the module's head. Satisfies `Rebuilt`.

    Parameters
    ----------
    topic: what the interactions topic is now.
    any_topic: also of a topic that there is no more; offsets then are of that one.
    report: told how many records are read and of how many.

    Raises
    ------
    CantRebuildError: there is nothing to go by.
    """

    name = "changelog"

    def __init__(
        self,
        topics: Topics,
        config: Mapping[str, Any],
        topic: TopicIdentity,
        any_topic: bool = False,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._topics = topics
        self._config = config
        self._report = report
        self._read = 0
        markers = read_markers(topics, config)
        if not markers.partitions:
            raise CantRebuildError(f"{topics.features_positions.name!r} says nothing of how far the changelogs are")
        found = {TopicIdentity(each.topic, each.partitions) for each in markers.partitions.values()}
        if len(found) > 1 or not (any_topic or next(iter(found)).same_topic(topic)):
            raise CantRebuildError(
                f"the changelogs were filled from a topic that has {' or '.join(map(str, found))}, not from {topic}"
            )
        self.positions = {partition: marked.position for partition, marked in markers.partitions.items()}
        self.backfilled: Backfilled | None = markers.backfilled
        self._homes = next(iter(found)).partitions
        # Ends are looked up after the positions were read: what these promise is before those.
        self._ends = {
            topic.name: self._ends_of(topic.name)
            for topic in (topics.features_customers, topics.features_seen_ids, topics.features_items)
        }
        self._lag_ms = {name: self._lag_of(name) for name in self._ends}
        self._total = sum(end - low for ends in self._ends.values() for low, end in ends.values())

    def customers(self) -> Iterator[Block]:
        """Yield customers, a partition of their changelogs after the other: a key is on the same one in both."""
        topic, seen_ids = self._topics.features_customers.name, self._topics.features_seen_ids.name
        for partition in self._ends[topic]:
            cut, sealed = self._cut(topic, partition), self._cut(seen_ids, partition)
            names = list(cut.held)
            for first in range(0, len(names), _BLOCK):
                some = names[first : first + _BLOCK]
                yield _block(some, [(cut.held[name], sealed.held.get(name)) for name in some])

    def _cut(self, topic: str, partition: int) -> Cut:
        """Cut a partition of a changelog that has customers as keys."""
        cut = Cut()
        for message in self._messages(topic, partition):
            key, value = (message.key() or b"").decode(), message.value()
            position = _position_header(message) if value is None else position_of(value)
            inside = position is not None and position < self._cut_of(partition_of(key.encode(), self._homes))
            cut.take(key, position, value, message.timestamp()[1], inside)
        self._check(topic, cut)
        return cut

    def parts(self) -> dict[str, Parts]:
        """Return the items' parts by source."""
        topic = self._topics.features_items.name
        cut = Cut()
        for partition in self._ends[topic]:
            for message in self._messages(topic, partition):
                key, value = (message.key() or b"").decode(), message.value()
                source = key.partition(":")[0]
                position = _position_header(message)
                if value is None or (position == 0 and source != BACKFILL):
                    position = None
                inside = position is not None and (source == BACKFILL or position <= self._cut_of(int(source)))
                cut.take(key, position, value, message.timestamp()[1], inside)
        self._check(topic, cut)
        return _parts(cut)

    def _cut_of(self, partition: int) -> int:
        return self.positions.get(partition, 0)

    def _messages(self, topic: str, partition: int) -> Iterator[Message]:
        low, end = self._ends[topic][partition]
        for messages in read_range(self._config, topic, partition, low, end):
            yield from messages
            self._read += len(messages)
            self._report(self._read, self._total)

    def _check(self, topic: str, cut: Cut) -> None:
        """Make sure that compaction has removed nothing before the cut for something beyond it."""
        if cut.oldest_beyond is None:
            return
        age_ms = time.time_ns() // 1_000_000 - cut.oldest_beyond
        if age_ms > self._lag_ms[topic] - _MARGIN_MS:
            raise CantRebuildError(
                f"{topic!r} holds part of a batch that is {age_ms // 1000} s old and was not finished; what it "
                f"replaced may be compacted away after {self._lag_ms[topic] // 1000} s (min.compaction.lag.ms)"
            )

    def _ends_of(self, topic: str) -> dict[int, tuple[int, int]]:
        consumer = Consumer(consumer_config(self._config, f"ends-of-{topic}"))
        try:
            partitions = consumer.list_topics(topic, timeout=30.0).topics[topic].partitions
            return {partition: watermarks(consumer, topic, partition) for partition in sorted(partitions)}
        finally:
            consumer.close()

    def _lag_of(self, topic: str) -> int:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        admin = AdminClient(dict(self._config))  # gone before its answer comes, it would take that with it
        found = admin.describe_configs([resource], request_timeout=30.0)[resource].result()
        return int(found["min.compaction.lag.ms"].value)


def _position_header(message: Message) -> int | None:
    headers: Any = message.headers() or ()
    return next((int(value) for name, value in headers if name == "position"), None)


def _row(name: str, state: Held, sealed: Held | None) -> CustomerRow:
    try:
        return customer_row(state.value, sealed.value if sealed else None)
    except ValueError as error:
        raise CantRebuildError(f"customer {name!r} can't be made of its changelogs: {error}") from error


def _block(names: list[str], found: list[tuple[Held, Held | None]]) -> Block:
    rows = [_row(name, state, sealed) for name, (state, sealed) in zip(names, found, strict=True)]
    states = CustomerStates.from_rows(rows)
    arrived = np.array([state.at for state, _ in found], dtype=np.int64) * 1000
    for place, row in enumerate(rows):
        seen = np.frombuffer(row.sealed + row.ids, dtype=SEEN_ID)
        if len(seen):
            arrived[place] = seen["arrival"].max()
    return Block(names, states, rows, arrived)


def _parts(cut: Cut) -> dict[str, Parts]:
    by_source: dict[str, list[tuple[str, bytes, int]]] = {}
    for key, (position, value, _) in cut.held.items():
        source, _, item = key.partition(":")
        if len(value) != ITEM_STATE.itemsize:
            raise CantRebuildError(
                f"the state of item {item!r} has {len(value)} bytes, not {ITEM_STATE.itemsize}: an older release's"
            )
        by_source.setdefault(source, []).append((item, value, position))
    return {
        source: Parts(
            [item for item, _, _ in some],
            np.frombuffer(b"".join([value for _, value, _ in some]), dtype=ITEM_STATE),
            np.array([position for _, _, position in some], dtype=np.int64),
        )
        for source, some in by_source.items()
    }
