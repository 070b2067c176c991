"""Redis in trouble: gone for a while, and back older than it was."""

import time

from tests.streams.ingest_site import IngestSite, made_events
from tests.streams.own_redis import OwnRedis


def test_a_redis_that_comes_back_older_is_replayed_into(own_site: IngestSite, own_redis: OwnRedis) -> None:
    events = made_events(3000)
    with own_site.running():
        own_site.publish_events(events[:1000])
        own_site.wait_until_applied()
        own_redis.snapshot("older.rdb")
        own_site.publish_events(events[1000:2000])
        own_site.wait_until_applied()
        own_redis.kill()
        own_redis.set_back("older.rdb")
        own_site.publish_events(events[2000:])
        time.sleep(1.0)  # the worker notices and holds back
        own_redis.start()
        own_site.wait_until_applied()
    own_site.assert_equals_one_pass()


def test_a_redis_set_back_between_two_runs_is_noticed(own_site: IngestSite, own_redis: OwnRedis) -> None:
    events = made_events(2000)
    own_site.publish_events(events[:1000])
    with own_site.running():
        own_site.wait_until_applied()
    own_redis.snapshot("older.rdb")
    own_site.publish_events(events[1000:])
    with own_site.running():
        own_site.wait_until_applied()
    own_redis.kill()
    own_redis.set_back("older.rdb")
    own_redis.start()
    with own_site.running():
        own_site.wait_until_applied()
    own_site.assert_equals_one_pass()


def test_an_emptied_redis_is_filled_again_from_the_topic(own_site: IngestSite, own_redis: OwnRedis) -> None:
    own_site.publish_events(made_events(1000))
    with own_site.running():
        own_site.wait_until_applied()
        own_redis.client.flushall()
        own_site.publish_events(made_events(100, seed=7))
        own_site.wait_until_applied()
    own_site.assert_equals_one_pass()


def test_a_redis_set_back_when_nothing_comes_any_more_is_noticed(own_site: IngestSite, own_redis: OwnRedis) -> None:
    events = made_events(2000)
    with own_site.running():
        own_site.publish_events(events[:1000])
        own_site.wait_until_applied()
        own_redis.snapshot("older.rdb")
        own_site.publish_events(events[1000:])
        own_site.wait_until_applied()
        own_redis.kill()
        own_redis.set_back("older.rdb")
        own_redis.start()
        own_site.wait_until_applied()
    own_site.assert_equals_one_pass()
