"""Similar items and what is bought together, over HTTP, from what the two topics tell."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from serving.similar.answers import SimilarAnswer, Why
from streams.contracts.codec import decode, encode
from streams.contracts.embeddings import encode as encode_embedding
from streams.contracts.operations import ItemNeighbours, Neighbour
from tests.serving.gateway.running import RunningGateway
from tests.serving.running import ITEMS, until
from tests.serving.similar.world import embedding, ids

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module", autouse=True)
def told(gateway: RunningGateway, http: httpx.Client) -> None:
    """Vectors by which `i0` to `i9` are alike, and neighbours of `i0`."""
    topics = gateway.settings.topics
    for place, name in enumerate(ITEMS[:40]):
        text = f"aaaa{place}" if place < 10 else f"zzzz{place}"
        gateway.send(topics.item_embeddings.name, encode_embedding(embedding(text)), name)
    lists = ItemNeighbours(
        item_id="i0",
        counted_until=1,
        baskets=50,
        together=[Neighbour(item_id="i70", score=0.9, baskets=41), Neighbour(item_id="i71", score=0.5, baskets=7)],
        instead=[Neighbour(item_id="i72", score=0.3, baskets=12)],
    )
    gateway.send(topics.item_neighbours.name, encode(lists), "i0")
    gateway.producer.flush(10)
    until(lambda: ids(ask(http, "i0", "bought-together").items) == ["i70", "i71"])
    until(lambda: len(alike(http, "i0", n=39, blend=0.0)) == 39)


def ask(http: httpx.Client, item: str, what: str = "similar", **query: Any) -> SimilarAnswer:
    answer = http.get(f"/items/{item}/{what}", params=query)
    assert answer.status_code == 200, answer.text
    return decode(answer.content, SimilarAnswer)


def alike(http: httpx.Client, item: str, **query: Any) -> list[str]:
    return ids([each for each in ask(http, item, **query).items if Why.TEXT in each.because])


def test_texts_that_begin_alike_come_first(http: httpx.Client) -> None:
    found = ask(http, "i0", n=9, blend=0.0)
    assert set(ids(found.items)) == set(ITEMS[1:10])
    assert found.item_id == "i0"
    first = found.items[0]
    assert first.because == [Why.TEXT]
    assert first.cosine is not None
    assert (first.name, first.price) == (f"Item {first.item_id[1:]}", int(first.item_id[1:]) / 4)


def test_baskets_are_blended_in(http: httpx.Client) -> None:
    assert ids(ask(http, "i0", n=3, blend=1.0).items) == ["i70", "i72", "i71"]
    found = {each.item_id: each for each in ask(http, "i0", n=20).items}
    assert found["i70"].together == 41
    assert found["i72"].instead == 12


def test_only_of_a_category(http: httpx.Client) -> None:
    assert set(alike(http, "i0", n=20, category="c1", blend=0.0)) == {f"i{k}" for k in range(40) if k % 7 == 1}
    assert ask(http, "i0", category="nothing").items == []


def test_a_hidden_item_leaves_both_lists(gateway: RunningGateway, http: httpx.Client) -> None:
    gateway.item("i70", available=False)
    gateway.item("i1", available=False)
    gateway.producer.flush(10)
    until(lambda: ids(ask(http, "i0", "bought-together").items) == ["i71"])
    until(lambda: "i1" not in ids(ask(http, "i0", n=50).items))
    assert "i1" in ids(ask(http, "i0", n=50, available_only=False).items)
    gateway.item("i70")
    gateway.item("i1")
    gateway.producer.flush(10)
    until(lambda: ids(ask(http, "i0", "bought-together").items) == ["i70", "i71"])


def test_a_deleted_item_is_gone_for_good(gateway: RunningGateway, http: httpx.Client) -> None:
    gateway.send(gateway.settings.topics.items.name, None, "i5")
    gateway.producer.flush(10)
    until(lambda: http.get("/items/i5/similar").status_code == 404)
    until(lambda: "i5" not in ids(ask(http, "i0", n=100, available_only=False).items))


@pytest.mark.parametrize("what", ["similar", "bought-together"])
def test_what_cannot_be_answered_is_told(http: httpx.Client, what: str) -> None:
    unknown = http.get(f"/items/nothing/{what}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_item")
    assert unknown.headers["content-type"] == "application/problem+json"
    for query in ({"n": 0}, {"n": 101}, {"n": "x"}):
        assert http.get(f"/items/i0/{what}", params=query).status_code == 422
    assert http.get("/items/i0/similar", params={"blend": 1.5}).status_code == 422
