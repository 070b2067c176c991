"""The trainer's own process on a real Kafka: triggers in, bundles and announcements out, also through a crash."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from confluent_kafka import Producer

from serving.bundle import open_bundle, versions
from streams.contracts.codec import decode, encode
from streams.contracts.compacted import CompactedTable
from streams.contracts.events import Customer, Item
from streams.contracts.operations import BundleAnnouncement, TrainingMode, TrainingTrigger, TriggerReason
from streams.contracts.topics import Topics
from streams.create_topics import create_topics
from tests.trainer import small_shop
from trainer import progress

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("HEADWATER_TRAINER_PYTHON", ROOT / ".venv-trainer" / "bin" / "python"))
TOPICS = Topics.named("trainer-test-")
PROFILE = """
name = "small"
item_attributes = ["brand", "kind"]
customer_attributes = ["city"]
category = "kind"
preference_attributes = ["brand", "kind"]
"""


class Process:
    """One trainer process at a time on one state directory."""

    def __init__(self, kafka: str, state: Path) -> None:
        self.kafka, self.state = kafka, state
        self.producer = Producer({"bootstrap.servers": kafka})
        self.sent = 0

    def start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "HEADWATER_STATE": str(self.state),
            "HEADWATER_SHOP": str(self.state / "shop.toml"),
            "HEADWATER_CLOCK": "stream",
            "HEADWATER_TOPIC_PREFIX": "trainer-test-",
            "HEADWATER_METRICS_PORT": str(self.port),
        }
        with (self.state / "trainer.log").open("ab") as log:
            self.process = subprocess.Popen(
                [PYTHON, "-m", "trainer.service"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        self.until(lambda: "headwater_ready 1" in self.metrics(), 180)

    def metrics(self) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)

    def trigger(self, mode: TrainingMode = TrainingMode.INCREMENTAL) -> str:
        self.sent += 1
        trigger = TrainingTrigger(
            trigger_id=f"trigger-{self.sent}", reason=TriggerReason.MANUAL, created_at=self.sent, mode=mode
        )
        self.producer.produce(TOPICS.training_triggers.name, encode(trigger))
        self.producer.flush(10)
        return trigger.trigger_id

    def announced(self) -> BundleAnnouncement | None:
        with CompactedTable(TOPICS.models.name, {"bootstrap.servers": self.kafka}) as table:
            values = [record.value for record in table.load() if record.value]
        return decode(values[-1], BundleAnnouncement) if values else None

    def answer(self, trigger: str) -> BundleAnnouncement:
        def announcement() -> BundleAnnouncement | None:
            status = progress.read(self.state)
            assert status is None or trigger not in status.triggers or status.outcome in ("", "ok"), status
            found = self.announced()
            return found if found is not None and found.trigger_id == trigger else None

        found = self.until(announcement, 400)
        assert isinstance(found, BundleAnnouncement)
        return found

    def until(self, condition, seconds: float) -> object:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            assert self.process.poll() is None, (self.state / "trainer.log").read_text()[-3000:]
            time.sleep(0.3)
        raise AssertionError(f"nothing after {seconds} s\n" + (self.state / "trainer.log").read_text()[-3000:])


@pytest.fixture
def trainer(kafka, tmp_path):
    config = {"bootstrap.servers": kafka}
    create_topics(TOPICS.all(), config)
    producer = Producer({**config, "partitioner": "murmur2_random"})
    shop = small_shop.catalogue()
    for row, item_id in enumerate(shop.item_ids):
        attributes = {name: str(shop.attribute_values(name)[row]) for name in small_shop.SHOP.item_attributes}
        producer.produce(TOPICS.items.name, encode(Item(item_id=item_id, attributes=attributes)), item_id)
    for customer_id, attributes in small_shop.profiles().items():
        customer = Customer(customer_id=customer_id, attributes=attributes)
        producer.produce(TOPICS.customers.name, encode(customer), customer_id)
    producer.flush(30)
    (tmp_path / "shop.toml").write_text(PROFILE)
    process = Process(kafka, tmp_path)
    process.start()
    yield process
    if process.process.poll() is None:
        process.stop(signal.SIGKILL)


def test_triggers_become_bundles_and_a_crash_loses_none(trainer):
    early = trainer.trigger()
    skipped = trainer.until(lambda: (s := progress.read(trainer.state)) and s.outcome and s, 60)
    assert (skipped.outcome, skipped.triggers) == ("skipped", (early,))
    assert "no interaction" in skipped.message

    small_shop.store(trainer.state / "offline", small_shop.table())
    first = trainer.answer(trainer.trigger())
    assert (first.version, first.parent) == (1, None)
    manifest = open_bundle(first.path, manifest_sha256=first.manifest_sha256).manifest
    assert manifest.metrics["auc"] > 0.6
    assert manifest.data_window.until_at // 1000 == first.data_until

    second = trainer.answer(trainer.trigger())
    assert (second.version, second.parent) == (2, 1)

    third = trainer.trigger(TrainingMode.FULL)
    trainer.until(lambda: (s := progress.read(trainer.state)) and third in s.triggers, 60)
    trainer.stop(signal.SIGKILL)
    assert versions(trainer.state / "bundles") == [1, 2]
    trainer.start()
    again = trainer.answer(third)
    assert (again.version, again.parent) == (3, None)
    assert versions(trainer.state / "bundles") == [1, 2, 3]
    assert not list((trainer.state / "bundles").glob(".staging-*"))
    assert "headwater_model_version 3.0" in trainer.metrics()
    assert trainer.stop() == 0
