"""Redis in trouble: gone for a while, and back older than it was."""

import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.stack.redis import redis_server
from streams.settings import Settings
from tests.streams.ingest_site import IngestSite, free_port, made_events


class OwnRedis:
    """A server that a test may kill and set back."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.client = redis.Redis(port=self.port)
        self.start()

    def start(self) -> None:
        command = [redis_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self._process = subprocess.Popen([*command, str(self.directory)], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < until
                time.sleep(0.02)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def snapshot(self, name: str) -> None:
        self.client.save()
        shutil.copy(self.directory / "dump.rdb", self.directory / name)

    def set_back(self, name: str) -> None:
        shutil.copy(self.directory / name, self.directory / "dump.rdb")


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    directory = tmp_path / "redis"
    directory.mkdir()
    server = OwnRedis(directory)
    yield server
    server.kill()


@pytest.fixture
def own_site(kafka: str, own_redis: OwnRedis, tmp_path: Path) -> IngestSite:
    return IngestSite(
        Settings(
            kafka_bootstrap_servers=kafka,
            redis_url=f"redis://127.0.0.1:{own_redis.port}/0",
            state=tmp_path / "state",
            topic_prefix=f"t{uuid.uuid4().hex[:8]}-",
        )
    )


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
