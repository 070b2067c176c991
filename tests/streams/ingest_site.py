"""A place to run the hot path in tests: topics, Redis and directories of its own, and one pass to compare with."""

import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient  # type: ignore[attr-defined]

from feature_repo.catalogue import Catalogue
from feature_repo.customer_features import customer_features
from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.events import Outcome
from feature_repo.fold import Folded, fold
from feature_repo.item_partials import ItemPartials
from feature_repo.items_state import TOTALS, apply_deltas, empty_items, total
from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import connect
from feature_repo.rows import Selection
from feature_repo.shop import Shop
from feature_repo.views import CUSTOMER_PURCHASES, ITEM_PURCHASES, customer_purchases, item_purchases
from streams import offline
from streams.catalogue_feed import CatalogueFeed
from streams.contracts.codec import Limits, encode
from streams.contracts.compacted import CompactedTable
from streams.contracts.events import Interaction, InteractionType, Item
from streams.contracts.operations import DeadLetter
from streams.create_topics import create_topics
from streams.ingest.batch import Batch, Records, decode
from streams.ingest.changelog import customer_row
from streams.ingest.customer_writer import CustomerWriter
from streams.ingest.service import build_worker
from streams.ingest.worker import Worker
from streams.settings import Settings

PARTITIONS = 4
SHOP = Shop(name="test", item_attributes=("kind", "brand"), category="kind", preference_attributes=("kind", "brand"))
START = 1_700_000_000_000
"""Milliseconds since the epoch of the first generated event."""
DAY_MS = 86_400_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def made_events(n: int, seed: int = 0, customers: int = 120, items: int = 40) -> list[Interaction]:
    """Events in a stream's disorder: mostly in the order of time, 2% late by hours or days, 2% sent twice."""
    rng = random.Random(seed)
    types = list(InteractionType)
    weights = [10, 10, 5, 5, 2, 60, 6, 2]
    events: list[Interaction] = []
    for at in range(n):
        time_ms = START + at * (70 * DAY_MS // n)
        if rng.random() < 0.02:
            time_ms -= rng.randint(1, 3 * DAY_MS)
        kind = rng.choices(types, weights)[0]
        event = Interaction(
            event_id=f"e{seed}-{at}",
            customer_id=f"c{int(customers * rng.random() ** 2)}",
            item_id=f"i{int(items * rng.random() ** 2)}",
            type=kind,
            timestamp=time_ms,
            quantity=rng.randint(1, 3),
            price=rng.choice([None, rng.randint(1, 999) / 100]),
            rating=float(rng.randint(1, 5)) if kind is InteractionType.RATING else None,
            context={"store": str(rng.randint(1, 3))},
        )
        events.append(event)
        if rng.random() < 0.02:
            events.insert(rng.randint(0, len(events)), event)
    return events


def made_items(n: int = 40) -> list[Item]:
    """A catalogue with a few kinds and brands."""
    return [
        Item(item_id=f"i{at}", name=f"item {at}", attributes={"kind": f"k{at % 7}", "brand": f"b{at % 3}"})
        for at in range(n)
    ]


@dataclass
class IngestSite:
    """Settings of one installation, and what to do with it."""

    settings: Settings
    producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        create_topics(self.settings.topics.all(), self.settings.kafka_config())
        self.client = connect(self.settings.redis_url)
        self.store = OnlineStore(self.client)
        self.producer = Producer(self.settings.producer_config())

    def close(self) -> None:
        """Leave nothing behind that costs the tests to come: connections, topics."""
        self.producer.close()
        self.client.close()
        admin = AdminClient(self.settings.kafka_config())  # it has to live until all answers are in
        gone = admin.delete_topics([topic.name for topic in self.settings.topics.all()])
        for each in gone.values():
            each.result()

    @property
    def offline(self) -> Path:
        path: Path = self.settings.offline
        return path

    def publish(self, topic: str, records: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        for key, value in records:
            self.producer.produce(topic, value, key)
            self.producer.poll(0)
        assert self.producer.flush(30) == 0

    def publish_events(self, events: Sequence[Interaction]) -> None:
        topic = self.settings.topics.interactions.name
        self.publish(topic, [(event.customer_id.encode(), encode(event)) for event in events])

    def publish_items(self, items: Sequence[Item]) -> None:
        topic = self.settings.topics.items.name
        self.publish(topic, [(item.item_id.encode(), encode(item)) for item in items])

    def worker(self, **options: Any) -> Worker:
        return build_worker(self.settings, SHOP, **options)

    @contextmanager
    def running(self, **options: Any) -> Iterator[Worker]:
        """A worker in a thread; whatever ends it is raised here."""
        worker, stop, failed = self.worker(**options), threading.Event(), []

        def work() -> None:
            try:
                worker.run(stop)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield worker
        finally:
            stop.set()
            thread.join(60)
        if failed:
            raise failed[0]

    def ends(self) -> dict[int, int]:
        """Partition of interactions -> its end."""
        with CompactedTable(self.settings.topics.interactions.name, self.settings.kafka_config()) as table:
            ends = dict.fromkeys(range(PARTITIONS), 0)
            for record in table.load():
                ends[record.partition] = record.offset + 1
        return ends

    def applied(self) -> dict[int, int]:
        """Partition of interactions -> offset before which all is in the online store."""
        found = {}
        for partition in range(PARTITIONS):
            position = self.client.hget(f"hw:stream:{partition}", "position")
            wal = self.client.hget(f"hw:stream:{partition}", "wal")
            found[partition] = -1 if wal is not None or position is None else int(position)
        return found

    def wait_until_applied(self, timeout_s: float = 60.0) -> None:
        ends, until = self.ends(), time.monotonic() + timeout_s
        while self.applied() != ends:
            assert time.monotonic() < until, f"applied {self.applied()}, the topic ends at {ends}"
            time.sleep(0.02)

    def one_pass(self) -> "OnePass":
        """Everything on the topic, folded at once."""
        topic = self.settings.topics.interactions.name
        with CompactedTable(topic, self.settings.kafka_config()) as table:
            found = [record for record in table.load()]
        batches = []
        for partition in range(PARTITIONS):
            some = [record for record in found if record.partition == partition]
            offsets = [record.offset for record in some]
            records = Records(
                partition, 0, max(offsets, default=-1) + 1,
                [record.value for record in some], [record.key for record in some],
                offsets, [record.timestamp for record in some],
            )  # fmt: skip
            batches.append(decode(records, PARTITIONS, Limits()))
        return OnePass(
            [(batch, fold(CustomerStates.empty(len(batch.customer_ids)), batch.events)) for batch in batches]
        )

    def dead_letters(self) -> list[DeadLetter]:
        with CompactedTable(self.settings.topics.dead_letters.name, self.settings.kafka_config()) as table:
            return [msgspec.json.decode(record.value or b"", type=DeadLetter) for record in table.load()]

    def changelog(self, topic: str) -> dict[str, bytes]:
        with CompactedTable(topic, self.settings.kafka_config()) as table:
            return {record.key.decode(): record.value or b"" for record in table.load()}

    def changed_customers(self) -> dict[str, CustomerRow]:
        """Customers' states as their changelogs tell them."""
        topics = self.settings.topics
        sealed = self.changelog(topics.features_seen_ids.name)
        changes = self.changelog(topics.features_customers.name)
        return {name: customer_row(state, sealed.get(name)) for name, state in changes.items() if state}

    def assert_equals_one_pass(self) -> None:
        """The online store, the changelogs and the offline store hold what one pass over the topic gives."""
        expected = self.one_pass()
        self._assert_customers(expected.customers())
        self._assert_customer_features(expected)
        self._assert_items(expected.items())
        self._assert_offline(expected.accepted())

    def _assert_customers(self, expected: dict[str, CustomerRow]) -> None:
        writer = CustomerWriter(self.store, SHOP, Catalogue(SHOP.item_attributes))
        stored = dict(zip(expected, writer.read(list(expected)), strict=True))
        assert stored == expected
        assert self.changed_customers() == expected

    def _assert_customer_features(self, expected: "OnePass") -> None:
        with CompactedTable(self.settings.topics.items.name, self.settings.kafka_config()) as table:
            feed = CatalogueFeed(table, SHOP)
            feed.load()
            for batch, folded in expected.parts:
                rows = self.store.read_rows(Selection.of(customer_purchases(SHOP)), batch.customer_ids)
                for name, values in customer_features(SHOP, folded.states, feed.catalogue).items():
                    assert rows.values(CUSTOMER_PURCHASES, name) == values.tolist(), name

    def _assert_items(self, expected: dict[str, dict[str, bytes]]) -> None:
        """`expected`: item -> source -> part."""
        names = list(expected)
        partials = ItemPartials(self.store, [*map(str, range(PARTITIONS)), "backfill"]).read(names)
        stored = {
            name: {source: part for source, (part, _) in partials.of(at).items()} for at, name in enumerate(names)
        }
        assert stored == expected
        changes = self.changelog(self.settings.topics.features_items.name)
        assert changes == {
            f"{source}:{name}": part for name, parts in expected.items() for source, part in parts.items()
        }
        rows = self.store.read_rows(Selection.of(item_purchases(SHOP)), names)
        sums = total(partials.states, partials.offsets)
        for column in (*TOTALS, "newest_day", "hot_slot"):
            np.testing.assert_array_equal(rows.int64(ITEM_PURCHASES, column), sums[column])
        for ring in ("daily", "hot"):
            assert rows.blobs(ITEM_PURCHASES, ring) == [row.tobytes() for row in sums[ring]]

    def _assert_offline(self, expected: list[tuple[int, int, str]]) -> None:
        table = offline.interactions(self.offline)
        stored = zip(*(table[name].to_pylist() for name in ("partition", "offset", "event_id")), strict=True)
        assert sorted(stored) == expected


@dataclass
class OnePass:
    """What one pass over each partition gives."""

    parts: list[tuple[Batch, Folded]]

    def customers(self) -> dict[str, CustomerRow]:
        return {
            name: row
            for batch, folded in self.parts
            for name, row in zip(batch.customer_ids, folded.states.rows(), strict=True)
        }

    def items(self) -> dict[str, dict[str, bytes]]:
        found: dict[str, dict[str, bytes]] = {}
        for batch, folded in self.parts:
            names = dict(zip(batch.events.item.tolist(), (e.item_id for e in batch.interactions), strict=True))
            keys = folded.deltas.items.tolist()
            after = apply_deltas(empty_items(len(keys)), folded.deltas)
            for key, part in zip(keys, after, strict=True):
                found.setdefault(names[key], {})[str(batch.records.partition)] = part.tobytes()
        return found

    def accepted(self) -> list[tuple[int, int, str]]:
        return sorted(
            (batch.records.partition, int(batch.events.offset[at]), batch.interactions[at].event_id)
            for batch, folded in self.parts
            for at in np.flatnonzero(folded.outcome == Outcome.APPLIED)
        )
