"""The serving process on real Kafka, Redis and Triton, with a small shop of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from feature_repo.customer_features import customer_features
from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.encoder import Encoder
from feature_repo.online_store import POSITION, PROFILE_VERSION, OnlineStore
from feature_repo.purchases import DAY
from feature_repo.redis_commands import connect
from feature_repo.shop import Shop, load_shop
from feature_repo.views import customer_profile, customer_purchases
from serving.bundle import Bundle
from serving.client import RecommendationClient
from serving.items_follower import catalogue_changes, feature_records
from serving.items_table import ItemsTable
from serving.settings import ServingSettings
from serving.snapshot import widths
from streams.contracts.codec import encode
from streams.contracts.compacted import CompactedTable
from streams.contracts.events import Item
from streams.contracts.operations import BundleAnnouncement
from streams.contracts.requests import Reply
from streams.create_topics import create_topics
from tests.serving.shop import encoder_spec, history, item_state
from tests.serving.tiny_bundle import write_bundle
from tests.serving.triton_server import ROOT, TritonServer, free_ports, stop

T = TypeVar("T")

SHOP: Shop = load_shop("complete_journey")
ITEMS = [f"i{k}" for k in range(300)]
TODAY = int(time.time() * 1e6) // DAY
BOUGHT: Mapping[str, Sequence[str]] = {"ann": ITEMS[:40], "bob": ITEMS[100:101], "cleo": ITEMS[50:250]}
PROFILE_ONLY = "dan"
PATIENCE_MS = 30_000


def until(condition: Callable[[], T | None], seconds: float = 60.0) -> T:
    """The first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


@dataclass
class Running:
    """The process, what it runs on, and hands to feed it with."""

    settings: ServingSettings
    triton: TritonServer
    metrics_port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    bundles: dict[int, Bundle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        create_topics(self.settings.topics.all(), self.settings.kafka_config())
        self.producer = Producer(self.settings.producer_config())
        self.store = OnlineStore(connect(self.settings.redis_url))

    def fill(self) -> None:
        """Publish items and their state; write the customers' rows."""
        topics = self.settings.topics
        for k, name in enumerate(ITEMS):
            self.item(name, f"Item {k}")
            self.send(topics.features_items.name, item_state(TODAY - 1, k + 1), f"backfill:{name}")
        self.producer.flush(30)
        table = self.items()
        states = CustomerStates.from_rows(
            [CustomerRow(history(items, TODAY - 3), b"", b"", b"", 7) for items in BOUGHT.values()]
        )
        columns: dict[str, Any] = dict(customer_features(SHOP, states, table.catalogue))
        columns |= {"history": [row.history for row in states.rows()], "recent": [b""] * len(states)}
        ids = list(BOUGHT)
        times = np.full(len(ids), TODAY * DAY)
        self.store.write_rows(customer_purchases(SHOP), ids, columns, times, [7] * len(ids), version_field=POSITION)
        self.store.write_rows(
            customer_profile(SHOP),
            [PROFILE_ONLY],
            {name: ["x"] for name in SHOP.customer_attributes},
            times[:1],
            [0],
            version_field=PROFILE_VERSION,
        )

    def item(self, name: str, title: str = "", available: bool = True) -> None:
        """Publish one item."""
        number = int(name[1:])
        item = Item(
            item_id=name,
            name=title or f"Item {number}",
            available=available,
            price=number / 4,
            attributes={"department": f"d{number % 3}", "product_category": f"c{number % 7}"},
        )
        self.send(self.settings.topics.items.name, encode(item), name)

    def items(self) -> ItemsTable:
        """What the item topics say, read anew."""
        table = ItemsTable(SHOP)
        config, topics = self.settings.kafka_config(), self.settings.topics
        with CompactedTable(topics.items.name, config) as items:
            table.apply_catalogue(catalogue_changes(items.load(), SHOP.currency_exponent))
        with CompactedTable(topics.features_items.name, config) as features:
            table.apply_features(feature_records(features.load()))
        return table

    def send(self, topic: str, value: bytes | None, key: str, headers: Mapping[str, str] | None = None) -> None:
        """Queue a record."""
        pairs: list[tuple[str, str | bytes | None]] = [(n, v.encode()) for n, v in (headers or {}).items()]
        self.producer.produce(topic, value, key.encode(), headers=pairs)
        self.producer.poll(0)

    def announce(self, version: int) -> None:
        """Make a bundle of that version where there is none yet, and announce it."""
        if version not in self.bundles:
            spec = encoder_spec(ITEMS, SHOP)
            shape = widths(Encoder(spec))
            self.bundles[version] = write_bundle(
                self.settings.bundles, version, ITEMS, shape, spec.to_json(), SHOP.name
            )
        bundle = self.bundles[version]
        announced = BundleAnnouncement(
            version=version, path=str(bundle.path), manifest_sha256=bundle.manifest_sha256, created_at=0
        )
        self.send(self.settings.topics.models.name, encode(announced), "default")
        self.producer.flush(10)

    def start(self) -> None:
        """Start the process and wait until it says that it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving.consumer"],
                cwd=ROOT,
                env=dict(os.environ) | self.environment(),
                stderr=log,
            )
        until(self.ready)

    def environment(self) -> dict[str, str]:
        """What processes of this shop are configured with."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka_bootstrap_servers,
            "REDIS_URL": self.settings.redis_url,
            "HEADWATER_TRITON_URL": self.triton.url,
            "HEADWATER_TRITON_REPOSITORY": str(self.triton.repository.path),
            "HEADWATER_TRITON_TIMEOUT_MS": "20000",
            "HEADWATER_STATE": str(self.settings.state),
            "HEADWATER_SHOP": SHOP.name,
            "HEADWATER_TOPIC_PREFIX": self.settings.topic_prefix,
            "HEADWATER_METRICS_PORT": str(self.metrics_port),
        }

    def ready(self) -> bool:
        """Does its metrics page say so?"""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        return self.metric("headwater_ready") == 1.0

    def metric(self, name: str) -> float | None:
        """A metric's value, by its name and labels as exposed."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as page:
                lines = page.read().decode().splitlines()
        except (urllib.error.URLError, ConnectionError):
            return None
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), None)

    def live(self, version: int) -> bool:
        """Is that version the live one?"""
        return self.metric("headwater_model_version") == version

    def close(self) -> int:
        """Stop the process; its exit code."""
        assert self.process is not None
        stop(self.process)
        return self.process.returncode

    def client(self) -> RecommendationClient:
        """A client of the process, with time to wait where other tests have the processors."""
        return PatientClient(self.settings, timeout_s=30)


class PatientClient(RecommendationClient):
    """A client whose requests may take half a minute unless they say otherwise."""

    def recommend(self, customer_id: str, **fields: Any) -> Reply:
        """Ask for one customer."""
        return super().recommend(customer_id, **{"deadline_ms": PATIENCE_MS} | fields)


class Topic:
    """Records of a topic from the end as it was when this was made."""

    def __init__(self, settings: ServingSettings, name: str) -> None:
        self._consumer = Consumer({**settings.kafka_config(), "group.id": uuid.uuid4().hex})
        partitions = self._consumer.list_topics(name, timeout=10).topics[name].partitions
        ends = [TopicPartition(name, p) for p in partitions]
        for each in ends:
            each.offset = self._consumer.get_watermark_offsets(each, timeout=10)[1]
        self._consumer.assign(ends)
        self.messages: list[Any] = []

    def poll(self) -> list[Any]:
        """All records so far."""
        self.messages += self._consumer.consume(1000, 0.1)
        return self.messages

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def running(kafka: str, redis_url: str, triton: TritonServer, directory: Path) -> Running:
    """A filled shop with model 1 announced, not started yet."""
    settings = ServingSettings(
        kafka_bootstrap_servers=kafka,
        redis_url=redis_url,
        state=directory,
        topic_prefix=f"serving-{uuid.uuid4().hex[:8]}-",
    )
    found = Running(settings, triton, free_ports(1)[0], directory / "serving.log")
    found.fill()
    return found
