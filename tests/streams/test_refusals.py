"""What a worker must not take up it says, waits, and goes on by itself once the reason is gone."""

import time
from collections.abc import Callable

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams import offline, topic_identity
from streams.ingest.refusals import accept_loss, refused
from streams.lease import Lease, mark_finished, mark_unfinished
from streams.topic_identity import TopicIdentity
from streams.watermarks import watermarks
from tests.streams.ingest_site import IngestSite, made_events


def until(what: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def says(site: IngestSite, *words: str) -> Callable[[], bool]:
    return lambda: any(all(word in found.why for word in words) for found in refused(site.client).values())


def ends(site: IngestSite) -> dict[int, int]:
    """Each partition's end, also where nothing is left before it."""
    consumer = Consumer({**site.settings.kafka_config(), "group.id": "ends"})
    try:
        return {each: watermarks(consumer, site.settings.topics.interactions.name, each)[1] for each in range(4)}
    finally:
        consumer.close()


def drop_before(site: IngestSite, offsets: dict[int, int]) -> None:
    """What retention does."""
    topic = site.settings.topics.interactions.name
    admin = AdminClient(site.settings.kafka_config())
    answers = admin.delete_records([TopicPartition(topic, each, at) for each, at in offsets.items()])
    assert all(answer.result().low_watermark == offsets[each.partition] for each, answer in answers.items())


def test_a_topic_that_ends_before_what_the_stores_hold(site: IngestSite) -> None:
    site.publish_events(made_events(20))
    site.client.hset("hw:stream:1", mapping={"position": 1000, "items": 1000})
    with site.running():
        until(says(site, "partition 1 of", "the stores hold 1000", "headwater rebuild-online --new-epoch"))
        site.client.delete("hw:stream:1")
        site.wait_until_applied()
        until(lambda: refused(site.client) == {})
    site.assert_equals_one_pass()


def test_a_redis_that_lost_its_backfill(site: IngestSite) -> None:
    offline.write_range(site.offline, offline.SCHEMA.empty_table(), offline.BACKFILL, 0, 5)
    with site.running():
        until(says(site, "holds a backfill that Redis knows nothing of", "headwater rebuild-online"))


def test_records_that_are_gone_are_gone_without_a_word_only_if_that_was_accepted(site: IngestSite) -> None:
    events = made_events(400)
    site.publish_events(events[:200])
    with site.running():
        site.wait_until_applied()
    before = ends(site)
    site.publish_events(events[200:300])
    middle = ends(site)
    drop_before(site, middle)
    with site.running():
        until(says(site, "are gone before they were read", "headwater rebuild-online --accept-loss"))
        assert site.applied() == before
        accept_loss(site.client, ends(site))
        site.publish_events(events[300:])
        until(lambda: site.applied() == ends(site) and ends(site) != middle)
    # What was accepted was accepted once: the next gap is refused again.
    site.publish_events(made_events(100, seed=1))
    drop_before(site, ends(site))
    with site.running():
        until(says(site, "are gone before they were read"))


def test_an_emptied_redis_is_not_filled_from_what_retention_has_left(site: IngestSite) -> None:
    site.publish_events(made_events(200))
    with site.running():
        site.wait_until_applied()
    site.client.flushall()
    drop_before(site, dict.fromkeys(range(4), 5))
    with site.running():
        until(says(site, "knows nothing of partition", "has nothing before 5", "headwater rebuild-online"))


def test_without_an_offline_store_the_changelogs_tell_that_something_was_lost(site: IngestSite) -> None:
    site.publish_events(made_events(200))
    with site.running():
        site.wait_until_applied()
    site.client.flushall()
    for marker in (site.offline / "commits").glob("*"):
        marker.unlink()
    drop_before(site, dict.fromkeys(range(4), 5))
    with site.running():
        until(says(site, "knows nothing of partition", "headwater rebuild-online"))


def test_a_topic_of_another_id_is_refused_although_it_is_long_enough(site: IngestSite) -> None:
    site.publish_events(made_events(100))
    with site.running():
        site.wait_until_applied()
    right = topic_identity.in_redis(site.client)
    assert right is not None
    assert topic_identity.in_offline_store(site.offline) == right
    wrong = TopicIdentity("AAAAAAAAAAAAAAAAAAAAAA", 4)
    topic_identity.note_in_redis(site.client, wrong)
    with site.running():
        until(says(site, "Redis was filled from id AAAAAAAAAAAAAAAAAAAAAA", "made anew", "--new-epoch"))
        topic_identity.note_in_redis(site.client, right)
        topic_identity.note_in_offline_store(site.offline, TopicIdentity(right.id, 8))
        until(says(site, "offline store", "8 partitions", "repartitioned", "--new-epoch"))
        topic_identity.note_in_offline_store(site.offline, right)
        until(lambda: refused(site.client) == {})


def test_nothing_is_taken_up_while_the_stores_are_being_filled(site: IngestSite) -> None:
    site.publish_events(made_events(100))
    with Lease(site.client, "a test"), site.running():
        time.sleep(1.0)
        assert set(site.applied().values()) == {-1}
        mark_unfinished(site.client, "a test")
    with site.running():  # the lease is gone, and what it was for did not end
        time.sleep(1.0)
        assert set(site.applied().values()) == {-1}
        mark_finished(site.client)
        site.wait_until_applied()
    site.assert_equals_one_pass()
