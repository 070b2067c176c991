import itertools
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from streams.contracts.compacted import CompactedTable
from streams.contracts.topics import Topics
from streams.create_topics import create_topics
from streams.settings import Settings

_names = itertools.count()


@pytest.fixture
def items_topic(kafka: str) -> str:
    topic = Topics.named(f"compacted-{next(_names)}-").items
    create_topics([topic], {"bootstrap.servers": kafka})
    return topic.name


@pytest.fixture
def publish(kafka: str) -> Callable[..., None]:
    producer = Producer(Settings(kafka_bootstrap_servers=kafka).producer_config())

    def send(topic: str, *records: tuple[bytes, bytes | None]) -> None:
        for key, value in records:
            producer.produce(topic, value, key)
        assert producer.flush(10) == 0

    return send


def test_loads_what_is_there_then_follows(kafka: str, items_topic: str, publish: Callable[..., None]) -> None:
    publish(items_topic, *((str(n % 50).encode(), str(n).encode()) for n in range(500)), (b"7", None))
    with CompactedTable(items_topic, {"bootstrap.servers": kafka}) as table:
        assert not table.caught_up
        latest = {record.key: record.value for record in table.load()}
        assert table.caught_up
        assert latest == {str(n).encode(): None if n == 7 else str(450 + n).encode() for n in range(50)}
        assert table.poll(0.1) == []
        publish(items_topic, (b"new", b"1"))
        record = next(record for _ in range(100) for record in table.poll(0.1))
        assert (record.key, record.value) == (b"new", b"1")
        assert record.timestamp > 0


def test_an_empty_topic_is_caught_up_at_once(kafka: str, items_topic: str) -> None:
    with CompactedTable(items_topic, {"bootstrap.servers": kafka}) as table:
        assert table.caught_up
        assert list(table.load()) == []


def test_a_missing_topic_is_named(kafka: str) -> None:
    with pytest.raises(LookupError, match="'no-such-topic' doesn't exist"):
        CompactedTable("no-such-topic", {"bootstrap.servers": kafka})


def test_catching_up_takes_all_that_has_come(kafka: str, items_topic: str, publish: Callable[..., None]) -> None:
    with CompactedTable(items_topic, {"bootstrap.servers": kafka}) as table:
        assert list(table.load()) == []
        assert list(table.catch_up()) == []
        publish(items_topic, *((str(n).encode(), b"x" * 100) for n in range(30_000)))  # more than one poll returns
        assert len(list(table.catch_up())) == 30_000
        assert list(table.catch_up()) == []
