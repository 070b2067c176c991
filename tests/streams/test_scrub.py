"""Answers and dead letters of erased customers are deleted, and nobody else's."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from confluent_kafka import Message
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports without __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from streams.contracts.codec import encode
from streams.contracts.examples import SERVED
from streams.contracts.operations import Reason
from streams.contracts.partitioner import partition_of
from streams.contracts.rejection import Rejected
from streams.dead_letters import key_of, letter
from streams.erasure.scrub import Mentions, Scrubber, records, scrub
from streams.sender import Sender
from tests.streams.ingest_site import IngestSite


def answer(site: IngestSite, name: str, customer: str) -> None:
    served = msgspec.structs.replace(SERVED, recommendation_id=name, customer_id=customer)
    partition = partition_of(customer.encode(), site.settings.topics.served.partitions)
    site.producer.produce(site.settings.topics.served.name, encode(served), name.encode(), partition)


LETTERS: list[tuple[bytes | None, bytes | None]] = [
    (b"c1", b"{"),
    (None, b'{"customer_id": "c1", "price": -3}'),
    (None, b"not JSON, but of c1; or so"),
    (b"c10", b'{"customer_id": "c10", "detail": "c1"}'),
    (None, b"c10 c1x x-c1 \xff"),
    (b"c2", None),
]
"""Keys and values of rejected records; the first three are c1's."""


def reject_all(site: IngestSite) -> None:
    for offset, (key, value) in enumerate(LETTERS):
        dead = letter("interactions", 0, offset, 1, key, value, Rejected(Reason.EMPTY, "for the test"))
        site.producer.produce(site.settings.topics.dead_letters.name, encode(dead), key_of(dead))


def read(site: IngestSite, topic: str) -> list[Message]:
    return [message for some in records(site.settings.kafka_config(), topic) for message in some]


def deleted(site: IngestSite, topic: str) -> set[bytes]:
    return {message.key() or b"" for message in read(site, topic) if message.value() is None}


def test_what_names_a_customer_is_found_and_what_only_looks_like_it_is_not() -> None:
    mentions = Mentions(["c1"])
    assert [mentions.in_record(key, value) for key, value in LETTERS] == [True, True, True, False, False, False]
    awkward = Mentions(["a.b", 'quo"te', "ünï"])
    assert not awkward.in_record(None, b"a-b axb")
    assert awkward.in_record(None, b'{"customer_id": "quo\\"te"}')
    assert awkward.in_record(None, "broken ünï".encode())


def test_a_customer_s_answers_and_letters_are_deleted(site: IngestSite) -> None:
    topics = site.settings.topics
    for number in range(4):
        answer(site, f"r{number}", "c1" if number % 2 else "c2")
    reject_all(site)
    assert site.producer.flush(30) == 0
    found = scrub(topics, site.settings.kafka_config(), Sender(site.producer), ["c1", "c3"])
    assert found == {topics.served.name: 2, topics.dead_letters.name: 3}
    assert deleted(site, topics.served.name) == {b"r1", b"r3"}
    assert deleted(site, topics.dead_letters.name) == {b"interactions-0-0", b"interactions-0-1", b"interactions-0-2"}
    by_key = {message.key(): message for message in read(site, topics.served.name)}
    assert all(by_key[name].partition() == partition_of(b"c1", 4) for name in (b"r1", b"r3"))


def follow(site: IngestSite, stop: threading.Event, settle_s: float) -> threading.Thread:
    scrubber = Scrubber(site.settings.topics, site.settings.kafka_config(), "scrub", Sender(site.producer), settle_s)
    thread = threading.Thread(target=scrubber.run, args=(stop,))
    thread.start()
    return thread


def wait_for(site: IngestSite, topic: str, keys: set[bytes]) -> None:
    until = time.monotonic() + 60
    while deleted(site, topic) != keys:
        assert time.monotonic() < until, f"deleted {deleted(site, topic)}, not {keys}"
        time.sleep(0.2)


def test_a_tombstone_of_a_customer_leads_to_them_even_if_nobody_was_there_when_it_came(site: IngestSite) -> None:
    topics = site.settings.topics
    answer(site, "r1", "c1")
    answer(site, "r2", "c2")
    site.publish(topics.customers.name, [(b"c1", None), (b"c2", b'{"customer_id": "c2"}')])
    gone = threading.Event()
    thread = follow(site, gone, settle_s=3600)
    time.sleep(3)  # it has heard of it, and is killed before the work is done
    gone.set()
    thread.join(60)
    stop = threading.Event()
    thread = follow(site, stop, settle_s=0.5)
    try:
        wait_for(site, topics.served.name, {b"r1"})
        answer(site, "r3", "c2")
        site.publish(topics.customers.name, [(b"c2", None)])
        wait_for(site, topics.served.name, {b"r1", b"r2", b"r3"})
    finally:
        stop.set()
        thread.join(60)


def configure(admin: AdminClient, kind: ResourceType, name: str, **settings: str | None) -> None:
    """Set what is configured of a topic or a broker; None: the default again."""
    entries = [
        ConfigEntry(
            setting.replace("_", "."),
            value,
            incremental_operation=AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET,
        )
        for setting, value in settings.items()
    ]
    resource = ConfigResource(kind, name, incremental_configs=entries)
    admin.incremental_alter_configs([resource])[resource].result()


@contextmanager
def eager_cleaner(admin: AdminClient) -> Iterator[None]:
    """Kafka's cleaner looks for work several times a second, and not every 15 seconds."""
    configure(admin, ResourceType.BROKER, "1", log_cleaner_backoff_ms="200")
    try:
        yield
    finally:
        configure(admin, ResourceType.BROKER, "1", log_cleaner_backoff_ms=None)


def test_what_was_deleted_is_gone_once_kafka_has_compacted_the_topic(site: IngestSite) -> None:
    """With times so short that one can wait for it."""
    topics, config = site.settings.topics, site.settings.kafka_config()
    admin = AdminClient(config)
    for topic in (topics.served, topics.dead_letters):
        configure(
            admin, ResourceType.TOPIC, topic.name,
            segment_ms="200", max_compaction_lag_ms="200", delete_retention_ms="0",
        )  # fmt: skip
    with eager_cleaner(admin):
        await_compaction(site)


def await_compaction(site: IngestSite) -> None:
    topics, config = site.settings.topics, site.settings.kafka_config()
    answer(site, "r1", "c1")
    answer(site, "r2", "c2")
    reject_all(site)
    assert site.producer.flush(30) == 0
    scrub(topics, config, Sender(site.producer), ["c1"])
    until = time.monotonic() + 120
    while True:
        time.sleep(1)
        # A segment is closed when the next record comes.
        answer(site, f"later{time.monotonic()}", "c1")
        dead = letter("x", 0, 0, 1, None, None, Rejected(Reason.EMPTY, ""))
        site.producer.produce(topics.dead_letters.name, encode(dead), key_of(dead))
        assert site.producer.flush(30) == 0
        keys = {message.key() for topic in (topics.served, topics.dead_letters) for message in read(site, topic.name)}
        if not keys & {b"r1", b"interactions-0-0", b"interactions-0-1", b"interactions-0-2"}:
            break
        assert time.monotonic() < until, keys
    assert {b"r2", b"interactions-0-3", b"interactions-0-4", b"interactions-0-5"} <= keys
