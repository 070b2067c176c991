"""What happens now is in the next answers: through the hot path and the changelogs, on real Kafka, Redis and Triton."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from serving.client import RecommendationClient
from streams.contracts.events import Interaction, InteractionType
from streams.contracts.requests import Reply, Source, Status
from streams.ingest.service import build_worker
from streams.ingest.worker import Worker
from streams.settings import Settings
from tests.serving.running import ITEMS, SHOP, Running, until
from tests.streams.ingest_site import IngestSite

pytestmark = pytest.mark.stack


class Site(IngestSite):
    """The hot path of the shop that is served."""

    def worker(self, **options: object) -> Worker:
        return build_worker(self.settings, SHOP, **options)


@pytest.fixture(scope="module")
def site(service: Running) -> Iterator[Site]:
    """The serving process with its first model, and a worker beside it."""
    service.announce(1)
    until(lambda: service.live(1))
    s = service.settings
    found = Site(
        Settings(
            kafka_bootstrap_servers=s.kafka_bootstrap_servers,
            redis_url=s.redis_url,
            state=s.state,
            topic_prefix=s.topic_prefix,
        )
    )
    with found.running():
        yield found


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[RecommendationClient]:
    with service.client() as client:
        yield client


def event(customer: str, item: str, kind: InteractionType, number: int = 0) -> Interaction:
    return Interaction(
        event_id=f"{customer}-{item}-{kind.value}-{number}",
        customer_id=customer,
        item_id=item,
        type=kind,
        timestamp=int(time.time() * 1000),
    )


def answer(client: RecommendationClient, customer: str, among: list[str]) -> Reply:
    """Everything that would be scored of some items, and about a hundred more."""
    others = [item for item in ITEMS[100:250] if item not in among]
    return client.recommend(customer, n=200, exclude_items=others, explain=True, deadline_ms=30_000)


def test_a_session_is_in_the_next_answer(site: Site, client: RecommendationClient) -> None:
    viewed, carted = ["i3", "i10"], "i17"
    site.publish_events(
        [
            *(event("eve", item, InteractionType.VIEW) for item in viewed),
            event("eve", carted, InteractionType.ADD_TO_CART),
        ]
    )

    def seen() -> Reply | None:
        reply = answer(client, "eve", [*viewed, carted])
        found = {item.item_id for item in reply.items if Source.SESSION in item.sources}
        return reply if {*viewed, carted} <= found else None

    reply = until(seen)
    assert reply.status is Status.OK
    told = {item.item_id: item.explanation or {} for item in reply.items}
    assert [told[item]["session_views"] for item in (*viewed, carted)] == [1.0, 1.0, 0.0]
    assert [told[item]["session_in_cart"] for item in (*viewed, carted)] == [0.0, 0.0, 1.0]
    same = {item for item in told if int(item[1:]) % 7 == 3}  # the category of all three
    assert len(same) > 10
    assert {told[item]["session_category_views"] for item in same} == {2.0}
    assert any(Source.SESSION in item.sources for item in reply.items if item.item_id in same - {*viewed, carted})
    site.publish_events([event("eve", carted, InteractionType.PURCHASE)])
    until(lambda: _of(answer(client, "eve", [carted]), carted)["session_in_cart"] == 0.0)


def test_a_burst_of_views_is_in_everybodys_answers_within_a_minute(site: Site, client: RecommendationClient) -> None:
    item = "i40"
    before = [each.item_id for each in client.recommend("nobody", n=4).items]
    assert item not in before
    site.publish_events([event(f"visitor {k}", item, InteractionType.VIEW) for k in range(60)])
    until(lambda: client.recommend("nobody", n=4).items[0].item_id == item)
    strangers = client.recommend("nobody", n=4).items
    assert Source.HOT in strangers[0].sources
    assert set(before[:1]) < {each.item_id for each in strangers}  # what sells well is still there
    until(lambda: _of(answer(client, "bob", [item]), item)["trending"] > 30)  # all partitions have told of it
    reply = answer(client, "bob", [item])
    assert reply.status is Status.OK
    [found] = [each for each in reply.items if each.item_id == item]
    assert Source.HOT in found.sources


def _of(reply: Reply, item: str) -> dict[str, float]:
    [found] = [each for each in reply.items if each.item_id == item]
    return found.explanation or {}
