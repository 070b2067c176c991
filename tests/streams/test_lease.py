"""Filling the stores: one at a time, and a killed run keeps nobody waiting for long."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from feature_repo.catalogue import Catalogue
from feature_repo.redis_commands import Client, connect
from streams import lease, offline
from streams.bulk.backfill import Backfill, guarded
from streams.lease import HeldElsewhereError, Lease, under_way
from tests.streams.ingest_site import SHOP, IngestSite, made_events
from tests.streams.test_backfill import backfilled, customers, items, stores, table


@pytest.fixture
def client(redis_url: str) -> Client:
    client = connect(redis_url)
    client.flushall()
    return client


def test_a_lease_is_renewed_for_as_long_as_it_is_held(client: Client) -> None:
    with Lease(client, "a test", seconds=0.4) as held:
        time.sleep(1.2)
        held.check()
        assert "a test by process" in str(under_way(client))
        with pytest.raises(HeldElsewhereError, match="a test by process"):
            Lease(client, "another").__enter__()
    assert under_way(client) is None


def test_a_lease_that_ran_out_is_noticed_and_the_next_one_is_left_alone(client: Client) -> None:
    with Lease(client, "a test", seconds=0.4) as held:
        client.delete(lease.LEASE_KEY)  # as when Redis was away for too long
        with Lease(client, "another"):
            time.sleep(0.5)
            with pytest.raises(HeldElsewhereError, match="ran out"):
                held.check()
        assert under_way(client) is None


def _killed_halfway(site_settings: object, events: list[object]) -> None:
    site = IngestSite(site_settings)  # type: ignore[arg-type]
    there = stores(site)

    def stop(progress: object) -> None:
        if getattr(progress, "step", "") == "items":
            os.kill(os.getpid(), signal.SIGKILL)

    with guarded(there, False, lambda: None) as stream:
        Backfill(there, SHOP, Catalogue(SHOP.item_attributes), stop).run(table(events), "test", 0, stream)  # type: ignore[arg-type]


def test_a_killed_backfill_is_repeated_once_its_lease_has_run_out(
    site: IngestSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease.Lease.__init__, "__defaults__", (2.0,))
    events = list({event.event_id: event for event in made_events(600)}.values())
    names, wares = sorted({e.customer_id for e in events}), sorted({e.item_id for e in events})
    killed = multiprocessing.get_context("fork").Process(target=_killed_halfway, args=(site.settings, events))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    site.publish_events(made_events(50, seed=3))
    with site.running():
        assert "headwater backfill" in str(under_way(site.client))
        until = time.monotonic() + 30
        while site.client.exists(lease.LEASE_KEY):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert "did not end" in str(under_way(site.client))
        assert set(site.applied().values()) == {-1}  # half a history is none
        assert backfilled(site, events).accepted == len(events)
        site.wait_until_applied()
    again = customers(site, names), items(site, wares)
    kept = offline.interactions(site.offline)
    assert kept.num_rows == len(set(kept["event_id"].to_pylist())) == len(events) + 50
    site.client.flushall()
    backfilled(site, events, replacing=True)
    site.publish_events(made_events(50, seed=3))
    with site.running():
        site.wait_until_applied()
    assert customers(site, names) == again[0]
    np.testing.assert_array_equal(items(site, wares), again[1])
