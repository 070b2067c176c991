"""What the stream and the backfill wrote to a real Redis equals what SQL computes from the offline store."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from deploy.commands.backfill import run as backfill
from feature_repo.catalogue import CatalogueItem
from feature_repo.customer_state import Limits
from feature_repo.shop import Shop, load_shop
from feature_repo.views import CUSTOMER
from streams import offline
from streams.compaction import Compaction, Compactor
from streams.contracts.events import Interaction, InteractionType, Item
from streams.ingest.service import build_worker
from streams.ingest.worker import Worker
from streams.sources.complete_journey import CompleteJourney
from streams.sources.source import events
from tests.parity.oracle.check import check_features
from tests.parity.oracle.compare import Report
from tests.parity.oracle.stored import customer_reader, item_reader, pair_reader
from tests.streams.conftest import site
from tests.streams.erasure_site import ask_for_erasure
from tests.streams.ingest_site import SHOP, START, IngestSite, made_events, made_items

__all__ = ["site"]  # a fixture

DAY = 86_400_000_000
MILLISECOND = 1000


def checked(site: IngestSite, shop: Shop, items: Sequence[Item], as_of: int) -> Report:
    """The report over everything in the site's Redis and offline store; the items have no prices of their own."""
    rows = [CatalogueItem(item.item_id, item.name, attributes=item.attributes) for item in items]
    known = {row.item_id: row for row in rows}
    return check_features(
        shop,
        site.offline,
        rows,
        customer_reader(site.store, shop, as_of),
        item_reader(site.store, shop, known, as_of),
        as_of,
        read_pairs=pair_reader(site.store, shop, rows, as_of),
    )


def test_a_disorderly_stream(site: IngestSite) -> None:
    site.publish_items(made_items())
    sent = made_events(4000, seed=5)
    assert len({event.event_id for event in sent}) < len(sent)
    site.publish_events(sent[:1500])
    with site.running():
        site.publish_events(sent[1500:])
        site.wait_until_applied()
    as_of = (START + 71 * 86_400_000) * MILLISECOND
    report = checked(site, SHOP, made_items(), as_of)
    assert report.mismatched == 0, str(report)
    assert report.checked > 120 * 12 + 40 * 16


def test_a_lively_hour_at_its_end_and_in_its_middle(site: IngestSite) -> None:
    """Sessions and trends, while both are going on and of instants that are past by then."""
    site.publish_items(made_items())
    lively = [replace(event, timestamp=START + at * 9000) for at, event in enumerate(made_events(1000, seed=8))]
    with site.running():
        site.publish_events(lively[:600])
        site.wait_until_applied()
        site.publish_events(lively[600:] + lively[500:550])
        site.wait_until_applied()
    for minutes in (152, 153, 70):
        as_of = (START + minutes * 60_000) * MILLISECOND
        report = checked(site, SHOP, made_items(), as_of)
        assert report.mismatched == 0, str(report)
        ids = [f"i{at}" for at in range(40)]
        trending = item_reader(site.store, SHOP, {}, as_of)(ids)["at_as_of.trending"]
        events = customer_reader(site.store, SHOP, as_of)([f"c{at}" for at in range(120)])["at_as_of.session_events"]
        assert np.count_nonzero(trending) > 20
        assert np.count_nonzero(events) > 20


def compact(site: IngestSite) -> None:
    """Leave nothing of the erased in any file: the oracle reads the files themselves and knows no ledger."""
    Compactor(site.offline, Compaction(fan_in=2, full=10**6, grace_s=0.0)).run()


OUTLIVE = {"item.newest_day", "item.hot_slot", "item.hot"}
"""What an item keeps of erased customers, without any name: docs/erasure.md."""


def assert_only_outlived(report: Report) -> None:
    assert {column.column for column in report.columns if column.mismatched} <= OUTLIVE, str(report)


def test_a_stream_with_erasures_in_it(site: IngestSite) -> None:
    """Some of the customers bought what nobody else did, some come late again, most are still there."""
    site.publish_items(made_items())
    sent = made_events(4000, seed=7)
    gone = ["c0", "c3", "c17", "c40"]
    site.publish_events(sent[:1500])
    with site.running():
        site.wait_until_applied()
        ask_for_erasure(site, gone[:2])
        site.publish_events(sent[1500:3000])
        ask_for_erasure(site, gone[2:])
        site.publish_events(sent[3000:])
        site.wait_until_applied()
    compact(site)
    as_of = (START + 71 * 86_400_000) * MILLISECOND
    assert_only_outlived(checked(site, SHOP, made_items(), as_of))
    left = set(offline.interactions(site.offline)["customer_id"].to_pylist())
    assert not left & set(gone)
    assert len(left) > 100


def test_a_row_that_is_not_what_it_should_be_is_found(site: IngestSite) -> None:
    site.publish_items(made_items())
    site.publish_events(made_events(300, seed=6))
    with site.running():
        site.wait_until_applied()
    as_of = (START + 71 * 86_400_000) * MILLISECOND
    assert checked(site, SHOP, made_items(), as_of).mismatched == 0
    (key,) = site.store.keys(CUSTOMER, ["c0"])
    site.client.delete(key)
    report = checked(site, SHOP, made_items(), as_of)
    assert report.mismatched > 10
    assert {mismatch.entity.partition(" × ")[0] for mismatch in report.worst} == {"c0"}


def test_a_customer_who_outgrows_the_history(site: IngestSite) -> None:
    """What leaves a history leaves items too that the events at hand do not name."""
    site.publish_items(made_items())
    limit = Limits().purchases

    def bought(at: int, item: int) -> Interaction:
        return Interaction(
            event_id=f"heavy-{at}", customer_id="heavy", item_id=f"i{item}", type=InteractionType.PURCHASE,
            timestamp=START + at * 60_000, price=1.0,
        )  # fmt: skip

    site.publish_events([bought(at, at % 20) for at in range(limit)])
    with site.running():
        site.wait_until_applied()
        site.publish_events([bought(limit + at, 20 + at % 5) for at in range(50)])
        site.wait_until_applied()
        site.publish_events([bought(limit + 50 + at, at % 3) for at in range(10)])
        site.wait_until_applied()
    report = checked(site, SHOP, made_items(), (START + 71 * 86_400_000) * MILLISECOND)
    assert report.mismatched == 0, str(report)


class FirstDays(CompleteJourney):
    """The first days of the year, and the products bought on them."""

    def __init__(self, days: int) -> None:
        super().__init__()
        self._end = next(super().chunks())["time"][0].as_py() + days * DAY

    @property
    def end(self) -> int:
        return int(self._end)

    def chunks(self, start: int | None = None, stop: int | None = None) -> Iterator[pa.Table]:
        yield from super().chunks(start, min(self._end, stop or self._end))

    def items(self) -> Iterator[Item]:
        bought = set(pc.unique(pa.concat_tables(self.chunks())["item_id"]).to_pylist())
        yield from (item for item in super().items() if item.item_id in bought)


class Groceries(IngestSite):
    """Workers that serve the shop of the real data."""

    def worker(self, **options: Any) -> Worker:
        return build_worker(self.settings, load_shop("complete_journey"), **options)


def test_history_in_bulk_then_the_stream_on_real_purchases(site: IngestSite) -> None:
    source, shop, groceries = FirstDays(8), load_shop("complete_journey"), Groceries(site.settings)
    items = list(source.items())
    groceries.publish_items(items)
    cut = source.end - DAY
    backfill(source, cut, site.settings)
    live = [event for chunk in source.chunks(cut) for event in events(chunk)]
    assert len(live) > 1000
    groceries.publish_events(live)
    groceries.publish_events(live[::50])  # again
    with groceries.running():
        groceries.wait_until_applied()
    for as_of in (source.end - DAY // 6, source.end + DAY // 2):
        report = checked(groceries, shop, items, as_of)
        assert report.mismatched == 0, str(report)
    sums = {column.column: column.checked for column in report.columns}
    assert sums["item.purchases"] == len(items)


def test_customers_of_history_in_bulk_are_erased_by_the_stream(site: IngestSite) -> None:
    """What they gave the items is in the backfill's parts; it is taken back in their partitions'."""
    source, shop, groceries = FirstDays(6), load_shop("complete_journey"), Groceries(site.settings)
    items = list(source.items())
    groceries.publish_items(items)
    cut = source.end - DAY
    backfill(source, cut, site.settings)
    live = [event for chunk in source.chunks(cut) for event in events(chunk)]
    gone = (
        sorted({event.customer_id for event in live})[::20]
        + sorted(set(offline.interactions(site.offline)["customer_id"].to_pylist()))[::50]
    )
    groceries.publish_events(live[: len(live) // 2])
    with groceries.running():
        groceries.wait_until_applied()
        ask_for_erasure(groceries, gone)
        groceries.publish_events(live[len(live) // 2 :])
        groceries.wait_until_applied()
    compact(groceries)
    assert not set(offline.interactions(site.offline)["customer_id"].to_pylist()) & set(gone)
    assert_only_outlived(checked(groceries, shop, items, source.end + DAY // 2))
