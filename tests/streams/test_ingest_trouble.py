"""Trouble that passes, and trouble that doesn't: stopping in the midst of it, and a disk that is full."""

import errno
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams import offline
from streams.files import probe
from streams.ingest.offline_writer import OfflineWriter
from streams.settings import Settings
from tests.chaos.servers import Server
from tests.streams.ingest_site import IngestSite, made_events
from tests.streams.own_redis import OwnRedis


def _until(happened: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def test_a_worker_that_is_held_back_can_be_stopped(own_site: IngestSite, own_redis: OwnRedis) -> None:
    own_site.publish_events(made_events(200))
    with own_site.running() as worker:
        own_site.wait_until_applied()
        own_redis.kill()
        own_site.publish_events(made_events(100, seed=1))
        _until(lambda: worker._stale, "it is not held back")
    # Whatever ended the worker would have been raised here.
    own_redis.start()
    with own_site.running():
        own_site.wait_until_applied()
    own_site.assert_equals_one_pass()


def test_a_worker_can_be_stopped_just_when_redis_has_gone(own_site: IngestSite, own_redis: OwnRedis) -> None:
    own_site.publish_events(made_events(200))
    worker, stop = own_site.worker(), threading.Event()
    worker.join_group()
    _until(lambda: worker.cycle() or (len(worker._next) == 4 and sum(worker._next.values()) >= 200), "nothing is read")
    worker._open.update(worker._next)
    own_redis.kill()
    stop.set()
    worker.run(stop)
    own_redis.start()


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Server]:
    with Server("kafka", tmp_path / "broker") as server:
        yield server


def test_a_worker_can_be_stopped_when_kafka_has_gone(own_kafka: Server, redis_url: str, tmp_path: Path) -> None:
    site = IngestSite(
        Settings(
            kafka_bootstrap_servers=own_kafka.stack.site.kafka_bootstrap_servers,
            redis_url=redis_url,
            state=tmp_path,
        )
    )
    site.client.flushall()
    site.publish_events(made_events(300))
    with site.running():
        site.wait_until_applied()
        own_kafka.kill(away_s=3600.0)
        time.sleep(0.5)
    own_kafka.back()
    _until(lambda: own_kafka.ready, "Kafka is not back")
    with site.running():
        site.wait_until_applied()
    site.assert_equals_one_pass()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting a file system takes root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_holds_ingest_back_until_there_is_room(
    site: IngestSite, small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (site.settings.offline).symlink_to(small_disk)
    hog = small_disk / "hog"
    hog.write_bytes(bytes((16 << 20) - 64_000))
    site.publish_events(made_events(3000))
    with site.running() as worker:
        worker._offline._max_age_s = 0.2
        _until(lambda: worker._stale and worker._offline._missing, "the disk is not full")
        time.sleep(1.0)
        assert worker._stale
        assert len(offline.interactions(site.offline)) < 3000
        hog.unlink()
        _until(lambda: offline.positions(site.offline) == site.ends(), "it does not go on")
        site.wait_until_applied()
    site.assert_equals_one_pass()
    assert f"{site.offline} does not take" in "".join(capfd.readouterr())


def test_a_probe_leaves_nothing_behind(small_disk: Path) -> None:
    probe(small_disk, 1 << 20)
    with pytest.raises(OSError, match=r"does not take 31,457,280 bytes: No space left") as caught:
        probe(small_disk, 30 << 20)
    assert caught.value.errno == errno.ENOSPC
    assert list(small_disk.iterdir()) == []


def test_only_a_failed_write_is_probed_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    writer = OfflineWriter(tmp_path / "file" / "store")
    writer.probe()
    writer.open(0, 0)
    writer.add(0, 5, None)
    writer.flush(0)
    with pytest.raises(OSError, match="Not a directory"):
        writer.finished(wait=True)
    with pytest.raises(OSError, match="Not a directory"):
        writer.probe()
    writer.stop()
