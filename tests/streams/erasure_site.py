"""What the stores must hold once customers are erased: the topic's events that are not, folded in one pass."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.events import Outcome
from feature_repo.fold import fold
from feature_repo.item_partials import ItemPartials
from feature_repo.items_state import DAYS, TOTALS, apply_deltas, empty_items, places, total
from feature_repo.online_store import POSITION
from feature_repo.rows import Selection
from feature_repo.views import CUSTOMER, ITEM_PURCHASES, item_purchases
from streams import offline
from streams.contracts.codec import Limits
from streams.contracts.events import Interaction
from streams.contracts.topics import ERASURE_HEADER
from streams.erasure.topics import cause_of
from streams.ingest.batch import Records, decode
from streams.ingest.customer_writer import CustomerWriter
from tests.streams.ingest_site import PARTITIONS, SHOP, IngestSite


def ask_for_erasure(site: IngestSite, customers: Sequence[str], cause: str | None = None) -> None:
    """Publish records of erasures, each with a cause of its own unless one is given."""
    topic = site.settings.topics.interactions.name
    for customer in customers:
        headers = [(ERASURE_HEADER, cause or uuid.uuid4().hex)]
        site.producer.produce(topic, None, customer.encode(), headers=headers)
    assert site.producer.flush(30) == 0


def read_topic(site: IngestSite, topic: str) -> list[Message]:
    """Return all records of a topic, with headers, by partition and offset."""
    consumer = Consumer(
        {**site.settings.kafka_config(), "group.id": "reads", "enable.partition.eof": True, "enable.auto.commit": False}
    )
    try:
        partitions = list(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
        found: list[Message] = []
        ended: set[int | None] = set()
        while len(ended) < len(partitions):
            message = consumer.poll(10)
            assert message is not None, f"nothing came of {topic}"
            error = message.error()
            if error is None:
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
    finally:
        consumer.close()
    return sorted(found, key=lambda each: (each.partition() or 0, each.offset() or 0))


@dataclass
class Expected:
    """What one pass over the events that are not erased gives."""

    customers: dict[str, CustomerRow]
    erased: dict[str, int]
    parts: dict[str, list[np.ndarray]]
    accepted: list[tuple[int, int, str]]

    def item(self, name: str) -> np.void:
        parts = self.parts[name]
        return total(np.concatenate(parts), np.array([0, len(parts)]))[0]


def expected(site: IngestSite) -> Expected:
    found = Expected({}, {}, defaultdict(list), [])
    by_partition: dict[int, list[Message]] = defaultdict(list)
    for message in read_topic(site, site.settings.topics.interactions.name):
        by_partition[message.partition() or 0].append(message)
    for partition, messages in by_partition.items():
        _one_partition(found, partition, messages)
    return found


def _one_partition(found: Expected, partition: int, messages: list[Message]) -> None:
    erasures: dict[str, list[tuple[int, int]]] = defaultdict(list)
    causes: set[tuple[str, str]] = set()
    for message in messages:
        cause = None if message.value() else cause_of(message.headers())
        customer = (message.key() or b"").decode()
        if cause is not None and (customer, cause) not in causes and len(customer) <= 128:
            causes.add((customer, cause))
            erasures[customer].append((message.offset() or 0, message.timestamp()[1] * 1000))
            found.erased[customer] = message.offset() or 0
    events = [message for message in messages if message.value()]
    kept = [message for message in events if not _is_erased(message, erasures, late=False)]
    applied = [message for message in events if not _is_erased(message, erasures, late=True)]
    for some, everything in ((kept, False), (applied, True)):
        batch = decode(
            Records(
                partition, 0, messages[-1].offset() or 0 + 1, [m.value() for m in some], [m.key() for m in some],
                [m.offset() or 0 for m in some], [m.timestamp()[1] for m in some],
            ),
            PARTITIONS,
            Limits(),
        )  # fmt: skip
        folded = fold(CustomerStates.empty(len(batch.customer_ids)), batch.events)
        names = dict(zip(batch.events.item.tolist(), (e.item_id for e in batch.interactions), strict=True))
        keys = folded.deltas.items.tolist()
        for key, part in zip(keys, apply_deltas(empty_items(len(keys)), folded.deltas), strict=True):
            bare = empty_items(1)
            bare["newest_day"] = part["newest_day"]  # bookkeeping: it outlives the customers
            found.parts[names[key]].append(bare if everything else np.array([part]))
        if everything:
            continue
        found.customers |= dict(zip(batch.customer_ids, folded.states.rows(), strict=True))
        found.accepted += [
            (partition, int(batch.events.offset[at]), batch.interactions[at].event_id)
            for at in np.flatnonzero(folded.outcome == Outcome.APPLIED)
        ]


def _is_erased(message: Message, erasures: dict[str, list[tuple[int, int]]], late: bool) -> bool:
    """Tell whether an event is gone, or whether it was so late that it never was there."""
    try:
        event = msgspec.json.decode(message.value() or b"", type=Interaction)
    except msgspec.MsgspecError:
        return False
    at = message.offset() or 0
    if late:
        return any(at > offset and event.time <= erased_at for offset, erased_at in erasures[event.customer_id])
    return any(at < offset or event.time <= erased_at for offset, erased_at in erasures[event.customer_id])


def assert_as_expected(site: IngestSite) -> Expected:
    """The online store, the changelogs and the offline store hold what is expected, and nothing of the erased."""
    wanted = expected(site)
    gone = sorted(wanted.erased.keys() - wanted.customers.keys())
    writer = CustomerWriter(site.store, SHOP, Catalogue(SHOP.item_attributes))
    stored = dict(zip(wanted.customers, writer.read(list(wanted.customers)), strict=True))
    assert stored == wanted.customers
    for key in site.store.keys(CUSTOMER, gone):
        assert set(site.client.hkeys(key)) <= {POSITION.encode()}
        assert site.client.ttl(key) != -1, "the fence must go by itself"
    for key in site.store.keys(CUSTOMER, list(wanted.customers)):
        assert site.client.ttl(key) == -1, "a customer who is there must stay"
    changes = site.changelog(site.settings.topics.features_customers.name)
    assert {name for name, value in changes.items() if not value} == set(gone)
    assert site.changed_customers() == stored
    sealed = site.changelog(site.settings.topics.features_seen_ids.name)
    assert {name for name, value in sealed.items() if not value} >= set(gone)
    _assert_items(site, wanted)
    table = offline.interactions(site.offline)
    rows = zip(*(table[name].to_pylist() for name in ("partition", "offset", "event_id")), strict=True)
    assert sorted(rows) == sorted(wanted.accepted)
    return wanted


def _assert_items(site: IngestSite, wanted: Expected) -> None:
    names = sorted(wanted.parts)
    partials = ItemPartials(site.store, [*map(str, range(PARTITIONS)), "backfill"]).read(names)
    sums = total(partials.states, partials.offsets)
    rows = site.store.read_rows(Selection.of(item_purchases(SHOP)), names)
    for column in (*TOTALS, "newest_day"):
        np.testing.assert_array_equal(rows.int64(ITEM_PURCHASES, column), sums[column])
    for name, state in zip(names, sums, strict=True):
        assert counts(state) == counts(wanted.item(name)), name


def counts(state: np.void) -> dict[str, object]:
    days = places(np.array([state["newest_day"]]), DAYS)[0]
    some = state["daily"] != 0
    return {
        **{name: int(state[name]) for name in (*TOTALS, "newest_day")},
        "days": dict(zip(days[some].tolist(), state["daily"][some].tolist(), strict=True)),
    }
