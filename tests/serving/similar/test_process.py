"""The similarity process and the serving side on a real Kafka: from an item's record to what is like it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from deploy.stack.site import ROOT, Site
from feature_repo.shop import load_shop
from serving.items_follower import catalogue_changes
from serving.items_table import ItemsTable
from serving.settings import ServingSettings
from serving.similar.answers import UnknownItemError, Why
from serving.similar.similar_items import SimilarItems
from streams import offline
from streams.contracts.codec import encode
from streams.contracts.compacted import CompactedTable
from streams.contracts.events import Item
from streams.create_topics import create_topics
from tests.serving.running import until
from tests.serving.similar.world import ids
from tests.serving.triton_server import free_ports, stop
from tests.trainer.similarity.shops import START, table

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SHOP = load_shop("complete_journey")
ITEMS = {
    "rye": ("Rye bread", "BREAD"), "white": ("White sandwich bread", "BREAD"), "roll": ("Bread rolls", "BREAD"),
    "cola": ("Cola, 2 litres", "SOFT DRINKS"), "lemonade": ("Lemonade", "SOFT DRINKS"), "brie": ("Brie", "CHEESE"),
    "brush": ("Tooth brush", "HYGIENE"), "paste": ("Tooth paste", "HYGIENE"),
}  # fmt: skip


class SimilarShop:
    """Topics of its own, the process, and the serving side over them."""

    def __init__(self, kafka: str, directory: Path) -> None:
        self.settings = ServingSettings(
            kafka_bootstrap_servers=kafka, state=directory, topic_prefix=f"similar-{uuid.uuid4().hex[:8]}-"
        )
        create_topics(self.settings.topics.all(), self.settings.kafka_config())
        self.producer = Producer(self.settings.producer_config())
        self.log = directory / "similarity.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.metrics_port = 0
        self.items = ItemsTable(SHOP)
        self._feed = CompactedTable(self.settings.topics.items.name, self.settings.kafka_config())
        self.similar = SimilarItems(self.items, self.settings.topics, self.settings.kafka_config(), lambda: START)

    def put(self, name: str, title: str, category: str, available: bool = True) -> None:
        """Publish an item."""
        item = Item(item_id=name, name=title, available=available, attributes={"product_category": category})
        self.producer.produce(self.settings.topics.items.name, encode(item), name.encode())
        self.producer.flush(10)

    def delete(self, name: str) -> None:
        """Publish a tombstone."""
        self.producer.produce(self.settings.topics.items.name, None, name.encode())
        self.producer.flush(10)

    def follow(self) -> None:
        """What the engine's follower of the items does."""
        self.items.apply_catalogue(catalogue_changes(self._feed.poll(0.05), 2))

    def environment(self) -> dict[str, str]:
        """What processes of this shop are configured with."""
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka_bootstrap_servers,
            "HEADWATER_TOPIC_PREFIX": self.settings.topic_prefix,
            "HEADWATER_STATE": str(self.settings.state),
            "HEADWATER_SHOP": SHOP.name,
            "HEADWATER_SIMILARITY_EVERY_SECONDS": "0.5",
        }

    def start(self) -> None:
        """Start the process; ready it is once its first step is under way."""
        self.metrics_port = free_ports(1)[0]
        environment = self.environment() | {"HEADWATER_METRICS_PORT": str(self.metrics_port)}
        python = Site.of(os.environ).trainer_python
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(python), "-m", "trainer.similarity"], cwd=ROOT, env=environment, stderr=log
            )

    def stop(self) -> int:
        """Stop the process; its exit code."""
        assert self.process is not None
        stop(self.process)
        return self.process.returncode

    def metrics(self) -> dict[str, float]:
        """What the process tells of itself, by name; with labels, by the labels' values behind the name."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return {
            " ".join([each.name, *each.labels.values()]): each.value for family in families for each in family.samples
        }

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait, following the items, until something holds."""

        def holds() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            self.follow()
            return condition()

        until(holds, 120)

    def like(self, name: str, **options: Any) -> list[str]:
        """Ids of what is like an item by text or baskets; none while it is unknown."""
        try:
            found = self.similar.similar(name, 5, **options)
        except UnknownItemError:
            return []
        return ids([each for each in found if Why.POPULAR not in each.because])


@pytest.fixture(scope="module")
def site(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimilarShop]:
    found = SimilarShop(kafka, tmp_path_factory.mktemp("similar"))
    for name, (title, category) in ITEMS.items():
        found.put(name, title, category)
    found.start()
    found.similar.start()
    yield found
    found.similar.stop()
    assert found.stop() == 0, found.log.read_text()[-4000:]


def test_what_reads_alike_is_alike(site: SimilarShop) -> None:
    site.until(lambda: len(site.like("rye", blend=0.0)) == 5)
    assert set(site.like("rye", blend=0.0)[:2]) == {"white", "roll"}
    assert site.like("brush", blend=0.0)[0] == "paste"
    assert set(site.like("rye", category="SOFT DRINKS", blend=0.0)) == {"cola", "lemonade"}


def test_a_changed_text_and_a_deleted_item_are_followed(site: SimilarShop) -> None:
    site.put("cola", "Tooth powder", "HYGIENE")
    site.until(lambda: "cola" in site.like("brush", blend=0.0)[:2])
    site.put("new", "Pumpernickel bread", "BREAD")
    site.until(lambda: "new" in site.like("rye", blend=0.0))
    site.delete("new")
    site.until(lambda: "new" not in site.like("rye", blend=0.0, available_only=False))
    site.put("cola", *ITEMS["cola"])
    site.until(lambda: site.like("lemonade", blend=0.0)[0] == "cola")


def test_baskets_of_the_offline_store_become_neighbours(site: SimilarShop) -> None:
    words = {"r": "rye", "b": "brie", "w": "white", "c": "cola", "p": "paste"}
    told = [(f"c{k % 20}", k, "rb" if k % 2 else "pc" if k % 3 else "w") for k in range(120)]
    found = table(told)
    column = found.schema.get_field_index("item_id")
    renamed = found.set_column(column, "item_id", [[words[each] for each in found["item_id"].to_pylist()]])
    renamed = renamed.cast(offline.SCHEMA)
    offline.write_range(site.settings.offline, renamed, offline.BACKFILL, 0, renamed.num_rows)
    site.until(lambda: ids(site.similar.bought_together("rye", 5)) == ["brie"])
    together = site.similar.bought_together("rye", 5)[0]
    assert together.together == 60
    assert ids(site.similar.bought_together("paste", 5)) == ["cola"]
    assert site.like("rye", blend=1.0)[0] == "brie"
    site.put("brie", ITEMS["brie"][0], "CHEESE", available=False)
    site.until(lambda: site.similar.bought_together("rye", 5) == [])
    site.put("brie", *ITEMS["brie"])
    site.until(lambda: ids(site.similar.bought_together("rye", 5)) == ["brie"])


def test_what_is_made_and_answered_is_told_as_metrics(site: SimilarShop) -> None:
    site.until(lambda: site.metrics().get("headwater_similar_neighbours", 0) > 0)
    told = site.metrics()
    assert told["headwater_ready"] == 1
    assert told["headwater_similar_embedded_total"] >= len(ITEMS)
    assert told["headwater_similar_baskets"] == 120
    assert told["headwater_similar_counts_total counted"] >= 1
    assert told["headwater_similar_count_seconds_count"] == told["headwater_similar_counts_total counted"]
    assert told["headwater_similar_counted_until_timestamp_seconds"] > START / 1e6
    site.until(lambda: site.metrics()["headwater_similar_due"] == 0)
    site.until(lambda: site.metrics().get("headwater_similar_counts_total nothing new", 0) > 0)

    def answered(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    site.until(lambda: answered("headwater_similar_lists") == told["headwater_similar_neighbours"])
    assert answered("headwater_similar_vectors") == len(site.similar.intake.vectors)
    before = answered("headwater_similar_shown_total", why="together")
    asked = answered("headwater_similar_seconds_count", question="bought together")
    assert ids(site.similar.bought_together("rye", 5)) == ["brie"]
    assert answered("headwater_similar_shown_total", why="together") == before + 1
    assert answered("headwater_similar_seconds_count", question="bought together") == asked + 1


def test_the_command_prints_what_the_same_code_answers(site: SimilarShop) -> None:
    def printed(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy.cli", "similar", *arguments]
        return subprocess.run(command, cwd=ROOT, env=site.environment(), capture_output=True, text=True, check=False)

    site.until(lambda: len(site.like("rye")) == 5)
    found = json.loads(printed("rye", "--json", "-n", "3").stdout)
    assert found["name"] == "Rye bread"
    assert [each["item_id"] for each in found["similar"]] == ids(site.similar.similar("rye", 3))
    assert [each["item_id"] for each in found["bought_together"]] == ["brie"]
    assert "Bought together with it" in printed("rye").stdout
    unknown = printed("nothing")
    assert unknown.returncode == 1
    assert "'nothing' is not in the catalogue" in unknown.stderr


def test_a_restart_publishes_what_has_changed_and_nothing_else(site: SimilarShop) -> None:
    def published() -> dict[bytes, tuple[int, int, bool]]:
        with CompactedTable(site.settings.topics.item_embeddings.name, site.settings.kafka_config()) as found:
            return {each.key: (each.partition, each.offset, bool(each.value)) for each in found.load()}

    before = published()
    assert before[b"roll"][2]
    assert site.stop() == 0
    site.delete("roll")
    site.start()
    site.until(lambda: not published()[b"roll"][2])
    after = published()
    assert {key for key in after if after[key] != before[key]} == {b"roll"}
