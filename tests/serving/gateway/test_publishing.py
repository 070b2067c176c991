"""Publishing from an event loop, to a real Kafka and to none."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from confluent_kafka import KafkaException

from serving.gateway import publishing
from serving.gateway.publishing import NotPublishedError, Publishing
from streams.contracts.compacted import CompactedTable
from streams.contracts.partitioner import partition_of
from streams.contracts.topics import Topic, Topics
from streams.create_topics import create_topics
from streams.settings import Settings


def a_topic(settings: Settings) -> Topic:
    topic = Topics.named(f"publishing-{uuid.uuid4().hex[:8]}-").items
    create_topics([topic], settings.kafka_config())
    return topic


def test_what_is_published_is_in_kafka_where_it_was_said_to_be(kafka: str) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka)
    topic = a_topic(settings)
    publishing = Publishing(settings)

    async def publish() -> tuple[list[Exception | None], list[tuple[int, int]]]:
        many = [(b"k%d" % (n % 50), b"%d" % n) for n in range(2000)]
        errors = await publishing.publish(topic, many)
        places = await asyncio.gather(*(publishing.publish_one(topic, b"k%d" % n, None) for n in range(10)))
        return errors + await publishing.publish(topic, []), list(places)

    errors, places = asyncio.run(publish())
    publishing.close()
    assert errors == [None] * 2000
    with CompactedTable(topic.name, settings.kafka_config()) as table:
        records = list(table.load())
    assert len(records) == 2010
    assert all(record.partition == partition_of(record.key, topic.partitions) for record in records)
    by_key: dict[bytes, list[bytes | None]] = {}
    for record in records:
        by_key.setdefault(record.key, []).append(record.value)
    for key, values in by_key.items():
        assert [value for value in values if value] == [b"%d" % n for n in range(int(key[1:]), 2000, 50)]
    tombstones = {record.key: (record.partition, record.offset) for record in records if not record.value}
    assert [tombstones[b"k%d" % n] for n in range(10)] == places


def test_without_kafka_a_record_is_given_up_and_says_why() -> None:
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    away = Publishing(settings, {"message.timeout.ms": 300})
    topic = Topics.named("").items

    async def publish() -> None:
        errors = await away.publish(topic, [(b"a", b"1"), (b"b", b"2")])
        assert [type(error) for error in errors] == [NotPublishedError] * 2
        with pytest.raises(NotPublishedError, match=r"Kafka at 127\.0\.0\.1:1 does not take records"):
            await away.publish_one(topic, b"a", b"1")

    asyncio.run(publish())
    away.close()


def test_beyond_the_queue_a_post_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "QUEUE", 3)
    away = Publishing(Settings(kafka_bootstrap_servers="127.0.0.1:1"), {"message.timeout.ms": 1000})
    topic = Topics.named("").items

    async def publish() -> None:
        waiting = asyncio.create_task(away.publish(topic, [(b"a", b"1"), (b"b", b"2")]))
        await asyncio.sleep(0)
        errors = await away.publish(topic, [(b"c", b"3"), (b"d", b"4")])
        assert not waiting.done()
        assert [str(error) for error in errors] == [
            "Kafka at 127.0.0.1:1 does not take records: 2 records are on their way already"
        ] * 2
        assert all(isinstance(error, NotPublishedError) for error in await waiting)

    asyncio.run(publish())
    away.close()


def test_a_record_that_kafka_refuses_spares_those_beside_it(kafka: str) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka)
    topic = a_topic(settings)
    found = Publishing(settings)

    async def publish() -> list[Exception | None]:
        return await found.publish(topic, [(b"a", b"1"), (b"b", b"x" * 3_000_000), (b"c", b"3")])

    first, second, third = asyncio.run(publish())
    found.close()
    assert (first, third) == (None, None)
    assert isinstance(second, NotPublishedError)
    assert not isinstance(second, KafkaException)
