"""The catalogue's and the customers' records into an emptied Redis, from their compacted topics.

Tombstones are left out: there is nothing to remove, and an erasure has been obeyed when it was first read.
"""

from collections.abc import Callable, Iterable

from confluent_kafka import Consumer

from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import connect
from feature_repo.shop import Shop
from streams.bulk.backfill import Progress
from streams.contracts.operations import DeadLetter
from streams.contracts.topics import Topic
from streams.ranges import consumer_config
from streams.settings import Settings
from streams.upsert_positions import Reader, UpsertPositions
from streams.upserts import Customers, Items, Raw
from streams.watermarks import watermarks

_AT_ONCE = 2_000


def restore_upserts(settings: Settings, shop: Shop, report: Callable[[Progress], None]) -> int:
    """Do it; return the number of records written."""
    store = OnlineStore(connect(settings.redis_url))
    topics = settings.topics
    found = 0
    for topic, apply in ((topics.items, Items(store, shop).apply), (topics.customers, _profiles(store, shop))):
        found += _restore(settings, topic, store, apply, report)
    return found


def _profiles(store: OnlineStore, shop: Shop) -> Callable[[Iterable[Raw]], list[DeadLetter]]:
    return Customers(store, shop, lambda causes: None).apply


def _restore(
    settings: Settings,
    topic: Topic,
    store: OnlineStore,
    apply: Callable[[Iterable[Raw]], list[DeadLetter]],
    report: Callable[[Progress], None],
) -> int:
    config = settings.kafka_config()
    reader, positions = Reader(topic.name, f"restore-{topic.name}", config), UpsertPositions(store.client, topic.name)
    bounds = _bounds(settings, topic)
    name = topic.name.removeprefix(settings.topic_prefix)
    total, read, found = sum(end - low for low, end in bounds.values()), 0, 0
    for partition, (low, end) in bounds.items():
        last: dict[bytes | None, Raw] = {}
        for records in reader.records(partition, low, end):
            last.update((record.key, record) for record in records)
            read += len(records)
            report(Progress(name, read, total))
        live = [record for record in last.values() if record.value]
        for first in range(0, len(live), _AT_ONCE):
            apply(live[first : first + _AT_ONCE])
            report(Progress(f"{name}' rows", found + min(first + _AT_ONCE, len(live)), 0))
        found += len(live)
        positions.advance(partition, 0, end)
    return found


def _bounds(settings: Settings, topic: Topic) -> dict[int, tuple[int, int]]:
    consumer = Consumer(consumer_config(settings.kafka_config(), f"restore-{topic.name}"))
    try:
        partitions = consumer.list_topics(topic.name, timeout=30.0).topics[topic.name].partitions
        return {each: watermarks(consumer, topic.name, each) for each in sorted(partitions)}
    finally:
        consumer.close()
