"""Redis away for a while: ingest reads no more than it can hold, and catches up."""

import math
import threading
import time

import psutil
import pytest

from tests.streams.ingest_site import IngestSite, made_events, made_items
from tests.streams.own_redis import OwnRedis
from tests.streams.test_app import running, wait_for

LOOKED_AT_S = 3.0
"""For so long after all is published: time enough to fetch it."""


def test_ingest_holds_back_with_bounded_memory_and_catches_up(
    own_site: IngestSite, own_redis: OwnRedis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own_site.publish_items(made_items())
    events = made_events(60_000, customers=2_000)
    own_site.publish_events(events[:5_000])
    with running(own_site, tmp_path_factory.mktemp("process")) as process:
        own_site.wait_until_applied()
        program = psutil.Process(process._popen.pid)
        before = program.memory_info().rss
        own_redis.snapshot("whole.rdb")
        own_redis.kill()
        more = threading.Thread(target=own_site.publish_events, args=(events[5_000:],))
        more.start()
        highest, until = 0, math.inf
        while time.monotonic() < until:
            highest = max(highest, program.memory_info().rss)
            time.sleep(0.1)
            if until == math.inf and not more.is_alive():
                until = time.monotonic() + LOOKED_AT_S
        # A fetch queue of 32 MB, and what a few batches need: not the topic, which grew by more than that.
        assert highest - before < 100 << 20
        assert "headwater_ready" in process.metrics()
        own_redis.set_back("whole.rdb")
        own_redis.start()
        own_site.wait_until_applied(120)
        wait_for("the lag to be gone", lambda: _lag(process.metrics()) == 0)
        assert process.stop() == 0
    own_site.assert_equals_one_pass()


def _lag(metrics: str) -> float:
    lines = [line for line in metrics.splitlines() if line.startswith("headwater_ingest_lag{")]
    assert len(lines) == 4
    return sum(float(line.rpartition(" ")[2]) for line in lines)
