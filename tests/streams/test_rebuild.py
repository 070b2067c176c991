"""A Redis that lost everything is filled again, and ends where one pass over the topic ends."""

import random
import shutil
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]

from feature_repo.item_partials import ItemPartials
from feature_repo.items_state import total
from streams import offline
from streams.bulk import changelog_cut
from streams.bulk.backfill import Backfill, guarded
from streams.bulk.changelog_cut import Cut
from streams.bulk.rebuild import Rebuild, Summary
from streams.bulk.rebuilt import CantRebuildError
from streams.bulk.restore_upserts import restore_upserts
from streams.catalogue_feed import CatalogueFeed
from streams.contracts.codec import encode
from streams.contracts.compacted import CompactedTable
from streams.contracts.events import Customer
from streams.ingest.refusals import refused
from streams.ingest.steps import BATCH
from streams.ingest.worker import Pace, Worker
from streams.lease import HeldElsewhereError, Lease, mark_unfinished
from tests.streams.ingest_site import PARTITIONS, SHOP, IngestSite, made_events, made_items
from tests.streams.test_backfill import customers, items, stores, table
from tests.streams.test_refusals import drop_before, until


def rebuilt(site: IngestSite, source: str = "auto", new_epoch: bool = False, partitions: int = PARTITIONS) -> Summary:
    with CompactedTable(site.settings.topics.items.name, site.settings.kafka_config()) as feed_table:
        feed = CatalogueFeed(feed_table, SHOP)
        feed.load()
        there = stores(site, partitions)
        return Rebuild(
            there, SHOP, feed.catalogue, lambda: restore_upserts(site.settings, SHOP, lambda progress: None)
        ).run(source, new_epoch)


class Crash(BaseException):
    """Stands for the process's end."""


def crash(site: IngestSite, step: str, countdown: int, seed: int) -> None:
    """Work until a step comes for the given time; of what the last batch has sent, only some arrives."""
    worker = site.worker(step=lambda name: stop(name))
    rng, left = random.Random(seed), countdown
    sender = worker._applier._sender
    send, losing = sender.send, False

    def lossy(topic: str, *arguments: Any, **options: Any) -> None:
        if not (losing and "features" in topic and rng.random() < 0.5):
            send(topic, *arguments, **options)

    def stop(name: str) -> None:
        nonlocal left, losing
        if name == "begin":  # what was sent before this one has arrived; this one will be cut off before its flush
            losing = left == 1 and step not in ("begin", "finished")
        left -= name == step
        if left == 0:
            raise Crash

    sender.send = lossy  # type: ignore[method-assign]
    worker.pace = Pace(records=80)
    worker.join_group()
    with pytest.raises(Crash):
        cycles(worker, 90.0)
    sender.flush()
    worker.abandon()


def cycles(worker: Worker, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        worker.cycle()


@pytest.mark.parametrize("step", BATCH)
def test_from_the_changelogs_after_a_crash_at_every_step(site: IngestSite, step: str) -> None:
    site.publish_items(made_items())
    events = made_events(900, customers=60)
    site.publish_events(events[:400])
    with site.running():
        site.wait_until_applied()
    for seed, (first, end) in enumerate(pairwise((400, 650, 900))):
        site.publish_events(events[first:end])
        crash(site, step, 2, seed)
        site.client.flushall()
        summary = rebuilt(site, "changelog")
        assert summary.customers > 0
        assert sum(summary.positions.values()) > 0
    with site.running():
        site.wait_until_applied()
    site.assert_equals_one_pass()


def test_from_the_offline_store(site: IngestSite) -> None:
    site.publish_items(made_items())
    site.publish(site.settings.topics.customers.name, [(b"c1", encode(Customer(customer_id="c1"))), (b"c2", None)])
    events = made_events(1500)
    site.publish_events(events[:1000])
    with site.running():
        site.wait_until_applied()
    site.publish_events(events[1000:])
    site.client.flushall()
    summary = rebuilt(site, "offline")
    assert (summary.source, summary.refused) == ("offline store", None)
    assert summary.records == len(made_items()) + 1
    assert site.client.hexists("hw:customer:c1", "record")
    with site.running():
        site.wait_until_applied()
    same_but_for_positions(site)


def same_but_for_positions(site: IngestSite) -> None:
    """Features and items equal one pass; an event that was no news may be missing from a customer's position."""
    expected = site.one_pass()
    rows = expected.customers()
    found = customers(site, list(rows))
    assert found == [(row.history, row.recent, row.evicted) for row in rows.values()]
    site._assert_customer_features(expected)
    site._assert_items(expected.items())
    site._assert_offline(expected.accepted())


def test_with_what_retention_has_left(site: IngestSite) -> None:
    site.publish_events(made_events(600))
    with site.running():
        site.wait_until_applied()
        expected = site.one_pass()
        until(lambda: offline.positions(site.offline) == site.ends())
        drop_before(site, site.ends())  # first: a worker takes an emptied Redis up again within the second
        site.client.flushall()
        until(lambda: refused(site.client) != {})
        for source in ("changelog", "offline"):
            site.client.flushall()
            rebuilt(site, source)
            until(lambda: refused(site.client) == {})
            rows = expected.customers()
            assert customers(site, list(rows)) == [(row.history, row.recent, row.evicted) for row in rows.values()]
            site._assert_items(expected.items())


def test_over_a_backfill(site: IngestSite) -> None:
    events = list({event.event_id: event for event in made_events(1200)}.values())
    names, wares = sorted({e.customer_id for e in events}), sorted({e.item_id for e in events})
    there = stores(site)
    with (
        guarded(there, False, lambda: None) as stream,
        CompactedTable(site.settings.topics.items.name, site.settings.kafka_config()) as feed,
    ):
        Backfill(there, SHOP, CatalogueFeed(feed, SHOP).catalogue).run(table(events[:500]), "test", 0, stream)
    site.publish_events(events[500:])
    with site.running():
        site.wait_until_applied()
    before = customers(site, names), items(site, wares)
    for source in ("changelog", "offline"):
        site.client.flushall()
        assert rebuilt(site, source).customers == len(names)
        with site.running():
            site.wait_until_applied()
        assert customers(site, names) == before[0]
        np.testing.assert_array_equal(items(site, wares), before[1])


def test_what_may_have_been_compacted_away_is_not_believed(site: IngestSite, monkeypatch: pytest.MonkeyPatch) -> None:
    events = made_events(400)
    site.publish_events(events[:200])
    with site.running():
        site.wait_until_applied()
    site.publish_events(events[200:])
    crash(site, "applied", 2, 0)
    site.client.flushall()
    monkeypatch.setattr(changelog_cut, "_MARGIN_MS", 10**12)  # as if an hour had gone by
    with pytest.raises(CantRebuildError, match=r"part of a batch .* not finished"):
        rebuilt(site, "changelog")
    summary = rebuilt(site)
    assert summary.source == "offline store"
    assert "part of a batch" in str(summary.refused)
    with site.running():
        site.wait_until_applied()
    same_but_for_positions(site)


def test_a_killed_rebuild_keeps_workers_away_until_it_is_repeated(site: IngestSite) -> None:
    site.publish_events(made_events(300))
    with site.running():
        site.wait_until_applied()
        site.client.flushall()
        mark_unfinished(site.client, "headwater rebuild-online")
        time.sleep(1.0)
        assert set(site.applied().values()) == {-1}
        rebuilt(site)
        until(lambda: offline.positions(site.offline) == site.ends())
    site.assert_equals_one_pass()


def test_two_at_once_are_one_too_many(site: IngestSite) -> None:
    with Lease(site.client, "another"), pytest.raises(HeldElsewhereError, match="another by process"):
        rebuilt(site)


def test_nothing_to_rebuild_from(site: IngestSite) -> None:
    with pytest.raises(CantRebuildError, match="is empty"):
        rebuilt(site)


def recreate(site: IngestSite, partitions: int = PARTITIONS) -> None:
    topic, admin = site.settings.topics.interactions, AdminClient(site.settings.kafka_config())
    admin.delete_topics([topic.name])[topic.name].result()
    until(lambda: topic.name not in admin.list_topics(timeout=10).topics)
    admin.create_topics([NewTopic(topic.name, partitions, 1, config=dict(topic.config))])[topic.name].result()
    until(lambda: topic.name in admin.list_topics(timeout=10).topics)


@pytest.mark.parametrize("source", ["auto", "changelog"])
def test_a_topic_made_anew_begins_an_epoch(site: IngestSite, source: str) -> None:
    events = list({event.event_id: event for event in made_events(1200)}.values())
    names, wares = sorted({e.customer_id for e in events}), sorted({e.item_id for e in events})
    site.publish_events(events)
    with site.running():
        site.wait_until_applied()
    alone = customers(site, names), items(site, wares)
    forget(site)

    site.publish_events(events[:400])
    with site.running():
        site.wait_until_applied()
    recreate(site)
    # Longer than the one before, and some of what it holds is known already.
    site.publish_events(events[350:])
    with site.running():
        until(lambda: "made anew" in str(refused(site.client)))
        summary = rebuilt(site, source, new_epoch=True)
        assert summary.epoch == 1
        site.wait_until_applied()
    assert customers(site, names) == alone[0]
    np.testing.assert_array_equal(items(site, wares), alone[1])
    kept = offline.interactions(site.offline)
    assert sorted(kept["event_id"].to_pylist()) == sorted(event.event_id for event in events)
    site.client.flushall()
    rebuilt(site, "changelog")  # the changelogs are of the new epoch alone
    with site.running():
        site.wait_until_applied()
    assert customers(site, names) == alone[0]
    np.testing.assert_array_equal(items(site, wares), alone[1])


def forget(site: IngestSite) -> None:
    """Begin with nothing."""
    site.client.flushall()
    recreate(site)
    shutil.rmtree(site.offline)
    topics, admin = site.settings.topics, AdminClient(site.settings.kafka_config())
    for topic in (
        topics.features_customers, topics.features_seen_ids, topics.features_items, topics.features_positions,
    ):  # fmt: skip
        admin.delete_topics([topic.name])[topic.name].result()
        until(lambda name=topic.name: name not in admin.list_topics(timeout=10).topics)  # type: ignore[misc]
        admin.create_topics([NewTopic(topic.name, topic.partitions, 1, config=dict(topic.config))])[topic.name].result()


def test_more_partitions_begin_an_epoch(site: IngestSite) -> None:
    events = list({event.event_id: event for event in made_events(900)}.values())
    names, wares = sorted({e.customer_id for e in events}), sorted({e.item_id for e in events})
    site.publish_events(events)
    with site.running():
        site.wait_until_applied()
    alone = customers(site, names), items(site, wares)
    forget(site)

    site.publish_events(events[:300])
    with site.running():
        site.wait_until_applied()
    site.publish_events(events[300:500])  # not read before the change
    topic, admin = site.settings.topics.interactions.name, AdminClient(site.settings.kafka_config())
    admin.create_partitions([NewPartitions(topic, 8)])[topic].result()
    until(lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 8)
    fresh = Producer(site.settings.producer_config())  # one that knows of the new partitions
    for event in [*events[500:600], *events[490:500]]:
        fresh.produce(topic, encode(event), event.customer_id.encode())
    assert fresh.flush(30) == 0
    with site.running():
        until(lambda: "repartitioned" in str(refused(site.client)))
    with pytest.raises(CantRebuildError, match="number of partitions"):
        rebuilt(site, "changelog", new_epoch=True, partitions=8)
    assert rebuilt(site, new_epoch=True, partitions=8).epoch == 1
    for event in events[600:]:
        fresh.produce(topic, encode(event), event.customer_id.encode())
    assert fresh.flush(30) == 0
    with site.running():
        until(lambda: len(offline.interactions(site.offline)) == len(events))
    assert customers(site, names) == alone[0]
    found = ItemPartials(site.store, [*map(str, range(8)), "backfill"]).read(wares)
    np.testing.assert_array_equal(total(found.states, found.offsets), alone[1])
    assert site.dead_letters() == []


def test_a_cut_takes_the_newest_record_before_it() -> None:
    cut = Cut()
    cut.take("a", 5, b"5", 1, True)
    cut.take("a", 9, b"9", 2, True)
    cut.take("a", 7, b"7", 3, True)  # sent again by a worker that was behind
    cut.take("a", 20, b"20", 4, False)
    assert cut.held == {"a": (9, b"9", 2)}
    assert cut.oldest_beyond == 4
    cut.take("a", 30, None, 5, False)
    assert cut.held == {"a": (9, b"9", 2)}
    cut.take("a", 10, None, 6, True)
    assert cut.held == {}
    cut.take("a", 3, b"3", 7, True)
    cut.take("a", -1, b"base", 8, True)
    assert cut.held == {"a": (-1, b"base", 8)}
    cut.take("a", None, None, 9, True)
    assert cut.held == {}
