"""Redis in trouble: gone for a while, and back older than it was."""

import threading
import time

import pytest

from streams.ingest.worker import Pace
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


@pytest.mark.parametrize("step", ["customers", "items", "changelog"])
def test_a_redis_set_back_between_two_writes_of_a_batch_is_noticed(
    own_site: IngestSite, own_redis: OwnRedis, step: str
) -> None:
    events = made_events(2400, customers=60)
    own_site.publish_events(events[:800])
    with own_site.running():
        own_site.wait_until_applied()
    own_redis.snapshot("older.rdb")
    left = 12

    def set_back(name: str) -> None:
        nonlocal left
        left -= name == step
        if left == 0 and name == step:
            own_redis.kill()
            own_redis.set_back("older.rdb")
            own_redis.start()

    own_site.publish_events(events[800:1600])
    worker, stop = own_site.worker(step=set_back), threading.Event()
    worker.pace = Pace(records=60)
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    own_site.publish_events(events[1600:])
    try:
        own_site.wait_until_applied()
    finally:
        stop.set()
        thread.join(60)
    assert left <= 0
    own_site.assert_equals_one_pass()
