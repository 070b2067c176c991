"""The pieces of `make bench BENCH=ingest` on a small shop: what they measure is there, what they check can fail."""

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import psutil
import pytest
from rich.console import Console

from benchmarks import exactness, faust_table, ingest, producer
from benchmarks.freshness_probe import FreshnessProbe
from benchmarks.lag import Lag, LagWatch
from benchmarks.processor_time import Meter, peak_rss_mb
from feature_repo.shop import load_shop
from feature_repo.views import CUSTOMER
from streams.contracts.events import Interaction, InteractionType
from streams.ingest.service import build_worker
from streams.ingest.worker import Worker
from streams.settings import Settings
from streams.sources.synthetic import Options, Synthetic
from tests.streams.conftest import site  # noqa: F401 - a fixture
from tests.streams.ingest_site import IngestSite

SHOP_SOURCE = Synthetic(Options(events=3000, customers=200, items=60, skew=1.4))


class SyntheticSite(IngestSite):
    """Whose worker knows the profile of the synthetic shop."""

    def worker(self, **options: Any) -> Worker:
        return build_worker(self.settings, load_shop(self.settings.shop), **options)


def endless() -> Iterator[Interaction]:
    return producer.endless(SHOP_SOURCE, None, frozenset(), "")


def test_the_producer_sends_no_more_than_its_rate_and_starts_over_under_new_ids(site: IngestSite) -> None:  # noqa: F811
    sent = producer.send(site.settings, endless(), rate=4000, seconds=1.0)
    assert 0 < sent["sent"] <= 4000
    assert sent["processor_s"] > 0
    assert sum(site.ends().values()) == sent["sent"]
    some = producer.endless(SHOP_SOURCE, None, frozenset({"c1"}), "x")
    ids = [next(some).event_id for _ in range(6000)]
    assert len(set(ids)) == 6000
    assert all(each.startswith("x-") for each in ids)


def test_lag_freshness_and_exactness_of_a_stream(site: IngestSite) -> None:  # noqa: F811
    settings = site.settings.model_copy(update={"shop": "synthetic"})
    site = SyntheticSite(settings)
    site.publish_items(list(SHOP_SOURCE.items()))
    watch = LagWatch(settings, every_s=0.05)
    probe = FreshnessProbe(settings, "i0", SHOP_SOURCE.options.end // 1000 - 1, every_s=0.02)
    with Lag(settings) as lag:
        producer.send(settings, endless(), rate=3000, seconds=1.0)
        assert lag() == sum(lag.ends().values()) > 0
        with site.running():
            watch.start()
            probe.start()
            time.sleep(1.0)
            probe.stop()
            lag.wait_until(0)
            milliseconds = probe.finish()
        assert max(watch.finish()) > 0
        assert lag() == 0
        published = sum(lag.ends().values())
    assert len(milliseconds) == probe.sent > 0
    assert (milliseconds > 0).all()

    found = exactness.check(settings, SHOP_SOURCE.items())
    assert (found.mismatched, found.missing, found.published) == (0, 0, published)
    assert found.checked > 200 * 10
    busiest = np.argmax(np.diff(SHOP_SOURCE._activity))
    [key] = site.store.keys(CUSTOMER, [f"c{busiest + 1}"])
    assert site.client.delete(key) == 1
    assert exactness.check(settings, SHOP_SOURCE.items()).mismatched > 0


def test_a_faust_table_counts(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka, state=tmp_path_factory.mktemp("faust"))
    events = (
        Interaction(event_id=f"e{n}", customer_id=f"c{n % 9}", item_id="i", type=InteractionType.VIEW, timestamp=n)
        for n in count()
    )
    assert faust_table.measure(settings, events, 200) > 0


def test_processor_time_counts_children_that_have_ended() -> None:
    meter = Meter({"me": psutil.Process()})
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert meter.seconds()["me"] >= 0.25
    assert peak_rss_mb(psutil.Process()) > 10


def test_the_table_names_everything_compared() -> None:
    figures = {
        "events_per_s": 10_000.0, "faust_table_events_per_s": 1_000.0, "x_faust_table": 10.0,
        "checked": 5, "mismatched": 0, "freshness_p50_ms": 1.0, "freshness_p99_ms": 2.0, "lag_max": 3, "lag_end": 0,
        "peak_rss_mb": 400.0, "processor_us_per_event": {"kafka": 9.0, "all": 9.0},
    }  # fmt: skip
    console = Console(record=True, width=120)
    console.print(ingest.table(figures))
    text = console.export_text()
    assert "10.0 x" in text
    assert "kafka" in text
    assert "Feast" not in text


def test_a_plan_is_a_shop_of_the_size_asked_for() -> None:
    plan = ingest.Plan(rate=100.0, seconds=2.0, warm_up_s=2.0, customers=7, items=9)
    assert "events=300,customers=7,items=9" in plan.source


def test_the_rate_grows_evenly_before_it_is_kept() -> None:
    assert [producer.due(100.0, 10.0, at) for at in (0.0, 5.0, 10.0, 11.0)] == [0, 125, 500, 600]
    assert producer.due(100.0, 0.0, 2.0) == 200
