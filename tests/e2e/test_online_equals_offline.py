"""What is served online equals what is ranked offline for the same moment: every customer, item for item.

Online: the stream's features in Redis, the consumer on Kafka, the models in Triton. Offline: events out of the Parquet
files, folded anew, and the way that training goes. The two share the kernels and the bundle, and no state.
"""

import datetime
import os
import time
from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc
import pytest
from rich.console import Console

from deploy.demo.live import await_offline
from deploy.demo.world import DAY
from deploy.evaluation.stage import NEVER, PARTS, AtCut
from deploy.stack.guard import guarded
from feature_repo.catalogue import Catalogue
from serving.bundle import open_bundle, versions
from serving.client import RecommendationClient
from streams import offline
from streams.catalogue_feed import catalogue_item
from streams.contracts.events import instant
from streams.contracts.requests import RecommendationRequest
from tests.conftest import KEPT
from tests.e2e import offline_lists
from trainer.evaluation.metrics import AT_MAP
from trainer.evaluation.served import ask

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SOURCE = "synthetic:events=24000,customers=400,items=500"
LIVE_DAYS = 4


def told(at: int) -> str:
    return datetime.datetime.fromtimestamp(at / 1e6, datetime.UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtCut]:
    """A stack that trained on a history and has seen four more days since, event by event."""
    console = Console(width=120)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("HEADWATER_", "KAFKA_", "REDIS_")) and name not in KEPT:
                patch.delenv(name)  # of a stack that other tests, or the developer, have running
        site = AtCut.at(tmp_path_factory.mktemp("whole"), SOURCE, console, NEVER, shop="synthetic").site
    made = AtCut(site, console, SOURCE)
    made.cut_at = made.last_event_at - LIVE_DAYS * DAY
    with guarded(made.stack):
        made.stack.up(PARTS)
        made.prepare()
        made.headwater("replay", "--source", SOURCE, "--what", "interactions", "--since", told(made.cut_at + 1))
        yield made


def newest_events(world: AtCut) -> dict[str, int]:
    """Customer -> the newest event's time, milliseconds; impressions are none that an answer tells of."""
    events = offline.interactions(world.site.state / "offline")
    events = events.filter(pc.not_equal(events["type"], "impression"))
    table = events.group_by("customer_id").aggregate([("time", "max")])
    return dict(zip(table["customer_id"].to_pylist(), pc.divide(table["time_max"], 1000).to_pylist(), strict=True))


def await_online(client: RecommendationClient, newest: dict[str, int], as_of: int) -> None:
    """Wait until answers rest on everybody's newest event."""
    deadline = time.monotonic() + 60
    behind = set(newest)
    while behind:
        assert time.monotonic() < deadline, f"{len(behind)} customers are behind, {min(behind)!r} among them"
        asked = [RecommendationRequest(customer_id=c, as_of=instant(as_of), deadline_ms=60_000) for c in sorted(behind)]
        for received in client.recommend_many(asked):
            seen: Any = received.reply.seen
            if seen is not None and seen.last_event_at == newest[received.reply.customer_id]:
                behind.discard(received.reply.customer_id)


def test_every_customers_list_is_the_same_asked_ahead_and_in_a_context(world: AtCut) -> None:
    store, as_of = world.site.state / "offline", world.last_event_at
    live = sum(int(pc.sum(pc.greater(chunk["time"], world.cut)).as_py()) for chunk in world.source.chunks())
    assert live > 500
    await_offline(world, live)
    catalogue = Catalogue(world.shop.item_attributes)
    catalogue.upsert(catalogue_item(item, world.shop.currency_exponent) for item in world.source.items())
    profiles = {each.customer_id: each.attributes for each in world.source.customers()}
    bundle = open_bundle(world.site.state / "bundles" / f"v{versions(world.site.state / 'bundles')[-1]:06d}")
    ranked = offline_lists.lists(store, world.shop, catalogue, profiles, bundle, as_of, AT_MAP)
    assert len(ranked) > 350
    with RecommendationClient(world.settings) as client:
        newest = newest_events(world)
        await_online(client, newest, as_of)
        deadline = time.monotonic() + 60
        while True:
            served = ask(client, sorted(newest), as_of, novel=False)
            different = {name: (own, served.lists[name]) for name, own in ranked.items() if own != served.lists[name]}
            if not different or time.monotonic() > deadline:
                break
            time.sleep(1)  # serving follows the items' features too, each at its own time
    assert not different, f"{len(different)} of {len(ranked)}: {next(iter(different.items()))}"
    assert served.fallbacks.total() == 0
    assert served.versions == {bundle.version}
    assert len({tuple(found) for found in ranked.values()}) > 0.9 * len(ranked)  # lists of their own
    context = {"channel": "app"}
    there = offline_lists.lists(store, world.shop, catalogue, profiles, bundle, as_of, AT_MAP, context)
    assert there != ranked
    with RecommendationClient(world.settings) as client:
        asked = [
            RecommendationRequest(customer_id=name, n=AT_MAP, as_of=instant(as_of), context=context, deadline_ms=60_000)
            for name in there
        ]
        replies = [received.reply for received in client.recommend_many(asked)]
    assert {reply.customer_id: [item.item_id for item in reply.items] for reply in replies} == there
