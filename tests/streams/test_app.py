"""The whole process: started, killed without warning, started again, and stopped."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_repo.record_store import RecordStore
from streams import offline
from streams.contracts.codec import encode
from streams.contracts.events import Customer
from streams.contracts.operations import Reason, TriggerReason
from streams.triggers import last_trigger
from tests.streams.erasure_site import expected as without_erased
from tests.streams.ingest_site import SHOP, IngestSite, free_port, made_events, made_items


class Process:
    """`python -m streams.app` on a site."""

    def __init__(self, site: IngestSite, log: Path, **environment: str) -> None:
        self.port = free_port()
        shop = log.with_name("shop.toml")
        shop.write_text(
            f"name = 'test'\ncategory = '{SHOP.category}'\nitem_attributes = {list(SHOP.item_attributes)}\n"
            f"preference_attributes = {list(SHOP.preference_attributes)}\n"
        )
        self.log = log
        settings = site.settings
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "streams.app"],
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
                "REDIS_URL": settings.redis_url,
                "HEADWATER_STATE": str(settings.state),
                "HEADWATER_TOPIC_PREFIX": settings.topic_prefix,
                "HEADWATER_METRICS_PORT": str(self.port),
                "HEADWATER_SHOP": str(shop),
                **environment,
            },
        )

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        until = time.monotonic() + timeout_s
        while True:
            assert self._popen.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < until, self.log.read_text()[-3000:]
            try:
                if "headwater_ready 1" in self.metrics():
                    return
            except OSError:
                pass
            time.sleep(0.1)

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> int:
        self._popen.send_signal(signal.SIGTERM)
        return self._popen.wait(60)


@contextmanager
def running(site: IngestSite, tmp_path: Path, **environment: str) -> Iterator[Process]:
    process = Process(site, tmp_path / "streams.log", **environment)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.kill()


def wait_for(what: str, found: Callable[[], bool], timeout_s: float = 30.0) -> None:
    until = time.monotonic() + timeout_s
    while not found():
        assert time.monotonic() < until, f"{what} did not happen in {timeout_s} s"
        time.sleep(0.05)


def test_catalogue_customers_triggers_and_a_clean_stop(site: IngestSite, tmp_path: Path) -> None:
    topics = site.settings.topics
    site.publish_items(made_items())
    with running(site, tmp_path, HEADWATER_TRAIN_EVERY_INTERACTIONS="200") as process:
        site.publish(topics.items.name, [(b"i1", None), (b"broken", b"{")])
        site.publish(topics.customers.name, [(b"c1", encode(Customer(customer_id="c1")))])
        items, customers = RecordStore(site.client, "item"), RecordStore(site.client, "customer")
        wait_for("the items", lambda: len(dict(items)) == 39)
        wait_for("the customer", lambda: customers.get(["c1"]) != [None])
        wait_for("the dead letter", lambda: len(site.dead_letters()) == 1)
        assert [(each.reason, each.key, each.topic) for each in site.dead_letters()] == [
            (Reason.NOT_JSON, b"broken", topics.items.name)
        ]
        site.publish_events(made_events(300))
        site.wait_until_applied()
        topic, config = topics.training_triggers.name, site.settings.kafka_config()
        wait_for("the trigger", lambda: last_trigger(topic, config) is not None)
        trigger = last_trigger(topic, config)
        assert trigger is not None
        assert (trigger.reason, trigger.interactions >= 200) == (TriggerReason.COUNT, True)
        assert 'headwater_triggers_total{reason="count"} 1' in process.metrics()
        assert 'headwater_store_rows_total{view="item_catalogue"}' in process.metrics()
        site.publish(topics.customers.name, [(b"c1", None)])
        wait_for("the deletion", lambda: customers.get(["c1"]) == [None])
        site.wait_until_applied()  # the erasure is among the interactions by now
        assert process.stop() == 0
    # A clean stop leaves nothing to do again.
    assert site.applied() == site.ends()
    assert {int(k): v for k, v in trigger.positions.items()}.keys() <= site.ends().keys()
    site.wait_until_applied()
    remaining = without_erased(site)
    assert list(remaining.erased) == ["c1"]
    site._assert_offline(sorted(remaining.accepted))


def test_killed_again_and_again_it_ends_where_one_pass_ends(site: IngestSite, tmp_path: Path) -> None:
    site.publish_items(made_items())
    events = made_events(8000, customers=400)
    site.publish_events(events[:2000])
    for part in (1, 2, 3):
        with running(site, tmp_path):
            site.publish_events(events[2000 * part : 2000 * (part + 1)])
            # Somewhere in the middle of it; the site kills it without warning.
            wait_for("some progress", lambda: any(position > 0 for position in site.applied().values()))
    with running(site, tmp_path):
        site.wait_until_applied()
        wait_for("the offline store", lambda: offline.positions(site.offline) == site.ends())
    site.assert_equals_one_pass()


def test_a_missing_topic_is_said_and_ends_the_process(kafka: str, redis_url: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "REDIS_URL": redis_url,
        "HEADWATER_STATE": str(tmp_path),
        "HEADWATER_TOPIC_PREFIX": "nothing-here-",
        "HEADWATER_METRICS_PORT": str(free_port()),
    }
    done = subprocess.run(
        [sys.executable, "-m", "streams.app"], env=environment, capture_output=True, timeout=100, text=True
    )
    assert done.returncode != 0
    assert "create it with: python -m streams.create_topics" in done.stderr
