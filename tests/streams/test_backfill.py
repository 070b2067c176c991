"""History in bulk ends where the stream would have ended."""

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import CustomerRow
from feature_repo.item_partials import ItemPartials
from feature_repo.items_state import total
from streams import offline
from streams.bulk.backfill import Backfill, BackfillError, Stores, Summary, guarded
from streams.bulk.history import blocks
from streams.bulk.reset import reset
from streams.contracts.codec import line_amount
from streams.contracts.events import Interaction
from streams.ingest.customer_writer import CustomerWriter
from streams.ingest.service import make_producer
from streams.sender import Sender
from tests.streams.erasure_site import ask_for_erasure
from tests.streams.ingest_site import PARTITIONS, SHOP, IngestSite, made_events


def stores(site: IngestSite, partitions: int = PARTITIONS) -> Stores:
    return Stores(
        site.store,
        Sender(make_producer(site.settings)),
        site.settings.topics,
        site.settings.kafka_config(),
        site.offline,
        partitions,
    )


def table(events: list[Interaction]) -> pa.Table:
    n = len(events)
    times = [event.time for event in events]
    columns = {
        "event_id": [event.event_id for event in events],
        "customer_id": [event.customer_id for event in events],
        "item_id": [event.item_id for event in events],
        "type": [event.type.value for event in events],
        "time": times,
        "quantity": np.array([event.quantity for event in events], dtype=np.int32),
        "amount": [line_amount(event.price, event.quantity, 2) for event in events],
        "rating": pa.array([event.rating for event in events], pa.float32()),
        "session_id": pa.nulls(n, pa.string()),
        "context": ["{}"] * n,
        "recommendation_id": pa.nulls(n, pa.string()),
        "arrival": times,
        "partition": np.full(n, offline.BACKFILL, dtype=np.int32),
        "offset": np.arange(n),
    }
    return pa.table(columns, schema=offline.SCHEMA)


def backfilled(site: IngestSite, events: list[Interaction], replacing: bool = False) -> Summary:
    there = stores(site)
    with guarded(there, replacing, lambda: reset(there, SHOP)) as stream:
        return Backfill(there, SHOP, Catalogue(SHOP.item_attributes)).run(table(events), "test", 0, stream)


def customers(site: IngestSite, names: list[str]) -> list[tuple[bytes, bytes, bytes] | None]:
    rows: list[CustomerRow | None] = CustomerWriter(site.store, SHOP, Catalogue(SHOP.item_attributes)).read(names)
    return [None if row is None else (row.history, row.recent, row.evicted) for row in rows]


def items(site: IngestSite, names: list[str]) -> np.ndarray:
    found = ItemPartials(site.store, [*map(str, range(PARTITIONS)), "backfill"]).read(names)
    return total(found.states, found.offsets)


def test_history_and_stream_together_equal_the_stream_alone(site: IngestSite) -> None:
    events = list({event.event_id: event for event in made_events(1500)}.values())
    names = sorted({event.customer_id for event in events})
    wares = sorted({event.item_id for event in events})
    site.publish_events(events)
    with site.running():
        site.wait_until_applied()
    alone = customers(site, names), items(site, wares)

    summary = backfilled(site, [*events[:900], events[3]], replacing=True)
    assert (summary.accepted, summary.duplicates) == (900, 1)
    site.publish_events(events[900:])
    with site.running():
        site.wait_until_applied()
    assert customers(site, names) == alone[0]
    np.testing.assert_array_equal(items(site, wares), alone[1])
    kept = offline.interactions(site.offline)
    assert sorted(kept["event_id"].to_pylist()) == sorted(event.event_id for event in events)
    changes = site.changelog(site.settings.topics.features_items.name)
    found = ItemPartials(site.store, ["backfill"]).read(wares)
    bulk = {name: found.of(at)["backfill"][0] for at, name in enumerate(wares) if found.of(at)}
    assert {name: changes[f"backfill:{name}"] for name in bulk} == bulk


def test_history_does_not_bring_erased_customers_back(site: IngestSite) -> None:
    events = list({event.event_id: event for event in made_events(600, customers=20)}.values())
    with site.running():
        ask_for_erasure(site, ["c1", "c2"])
        site.wait_until_applied()
    summary = backfilled(site, events, replacing=True)
    left = [event for event in events if event.customer_id not in ("c1", "c2")]
    assert (summary.rows, summary.accepted) == (len(left), len(left))
    assert sorted(offline.interactions(site.offline)["event_id"].to_pylist()) == sorted(e.event_id for e in left)
    assert all(row is None or row == (b"", b"", b"") for row in customers(site, ["c1", "c2"]))
    assert not site.changelog(site.settings.topics.features_customers.name).get("c1")


def test_workers_that_were_running_go_on_after_it(site: IngestSite) -> None:
    events = list({event.event_id: event for event in made_events(600)}.values())
    names = sorted({event.customer_id for event in events})
    with site.running():
        site.wait_until_applied()
        backfilled(site, events[:300])
        site.publish_events(events[300:])
        site.wait_until_applied()
    together = customers(site, names)
    backfilled(site, events, replacing=True)
    assert customers(site, names) == together


def test_it_refuses_to_run_over_what_is_there(site: IngestSite) -> None:
    events = made_events(50)
    backfilled(site, events)
    with pytest.raises(BackfillError, match="events of test are backfilled already"):
        backfilled(site, events)
    assert backfilled(site, events, replacing=True).accepted == offline.interactions(site.offline).num_rows


def test_it_refuses_to_put_history_under_a_stream(site: IngestSite) -> None:
    site.publish_events(made_events(50))
    with site.running():
        site.wait_until_applied()
    with pytest.raises(BackfillError, match="events of the stream are applied already"):
        backfilled(site, made_events(50))


def test_one_at_a_time(site: IngestSite) -> None:
    there = stores(site)
    with (
        guarded(there, False, lambda: None),
        pytest.raises(BackfillError, match="under way already: headwater backfill"),
        guarded(there, False, lambda: None),
    ):
        pass


def test_blocks_hold_whole_customers() -> None:
    offsets = np.array([0, 5, 9, 30, 31, 40])
    assert list(blocks(offsets, 10)) == [(0, 2), (2, 3), (3, 5)]
    assert list(blocks(np.array([0]), 10)) == []
