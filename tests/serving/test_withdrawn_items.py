"""An item that the shop deletes is never recommended again: not to those who bought it, not to strangers, not later."""

from __future__ import annotations

import pytest

from serving.client import RecommendationClient
from streams.contracts.requests import Source, Status
from tests.serving.running import Running, until

pytestmark = pytest.mark.stack


def shown(client: RecommendationClient, customer: str) -> list[str]:
    return [item.item_id for item in client.recommend(customer, n=200).items]


def test_a_tombstone_takes_an_item_out_of_every_answer_for_good(service: Running) -> None:
    service.announce(1)
    until(lambda: service.live(1))
    topic = service.settings.topics.items.name
    with service.client() as client:
        personal, stranger = client.recommend("ann", n=200), client.recommend("nobody", n=200)
        assert (personal.status, stranger.reason) == (Status.OK, "unknown_customer")
        bought = next(item.item_id for item in personal.items if Source.HISTORY in item.sources)
        gone = {bought, personal.items[0].item_id, stranger.items[0].item_id}
        for name in gone:
            service.send(topic, None, name)
        service.producer.flush(10)
        until(lambda: not gone & {*shown(client, "ann"), *shown(client, "nobody"), *shown(client, "bob")})
        for _ in range(20):  # once it is gone no answer has it again, of whatever source
            assert not gone & {*shown(client, "ann"), *shown(client, "nobody"), *shown(client, "cleo")}
        only = client.recommend("ann", n=200, categories=[f"c{int(bought[1:]) % 7}"]).items
        assert only
        assert bought not in {item.item_id for item in only}
    assert service.close() == 0
    service.start()
    until(lambda: service.live(1))
    with service.client() as client:
        assert client.recommend("ann").status is Status.OK
        for customer in ("ann", "bob", "cleo", "nobody"):
            answers = shown(client, customer)
            assert answers
            assert not gone & set(answers), customer
