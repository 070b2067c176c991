"""Recommendations over HTTP: the same answers as over Kafka, told in full, and explained."""

from __future__ import annotations

import time
from typing import Any

import httpx
import numpy as np
import pytest

from feature_repo.encoder import OUT_OF_VOCABULARY, Encoder
from feature_repo.items_state import SLOT, empty_items
from feature_repo.purchases import DAY
from feature_repo.request_context import request_columns
from serving.customers import CustomerReader
from serving.gateway.messages import ExplainedAnswer, ItemList
from serving.local_scorer import LocalScorer
from serving.recommendation import Query
from serving.recommender import Recommender
from serving.snapshot import snapshot
from streams.contracts.codec import decode, encode
from streams.contracts.requests import Reply, ServedRecord, Source, Status
from tests.serving.gateway.running import RunningGateway
from tests.serving.running import BOUGHT, PROFILE_ONLY, SHOP, TODAY, Topic, until

pytestmark = pytest.mark.stack

AS_OF_MS = (TODAY * DAY + 3_600_000_000) // 1000


def ask(http: httpx.Client, customer: str, **query: Any) -> Reply:
    answer = http.get(f"/customers/{customer}/recommendations", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return decode(answer.content, Reply)


@pytest.mark.parametrize("customer", BOUGHT)
def test_what_is_answered_is_what_the_same_code_ranks_offline(
    gateway: RunningGateway, http: httpx.Client, customer: str
) -> None:
    reply = ask(http, customer, n=50, as_of=AS_OF_MS)
    items, bundle = gateway.items(), gateway.bundles[1]
    recommender = Recommender(items, LocalScorer(bundle), lambda: 0.0)
    customers = CustomerReader(gateway.store, SHOP).read([customer])
    [expected] = recommender.recommend(
        [Query(customer, AS_OF_MS * 1000, 50)], customers, snapshot(bundle, items, TODAY)
    )
    assert (reply.status, reply.model_version, reply.customer_id) == (Status.OK, 1, customer)
    assert [item.item_id for item in reply.items] == [items.catalogue.item_ids[row] for row in expected.rows]
    np.testing.assert_allclose([item.score for item in reply.items], expected.scores, rtol=1e-5)
    assert reply.seen is not None
    assert reply.seen.offset == 7


def test_an_instant_is_told_in_either_way(http: httpx.Client) -> None:
    at = np.datetime_as_string(np.datetime64(AS_OF_MS, "ms"), timezone="UTC")
    assert ask(http, "ann", as_of=at).as_of == ask(http, "ann", as_of=AS_OF_MS).as_of == AS_OF_MS
    for wrong in ("yesterday", "2026-01-01T00:00:00", "-1", "9999999999999999"):
        refused = http.get("/customers/ann/recommendations", params={"as_of": wrong})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
        assert refused.json()["errors"][0]["where"] == "query.as_of"


def test_filters(http: httpx.Client) -> None:
    everything = [item.item_id for item in ask(http, "ann", n=200).items]
    wanted = ask(http, "ann", n=200, exclude_items=everything[:20]).items
    assert wanted
    assert not {item.item_id for item in wanted} & set(everything[:20])
    novel = ask(http, "ann", n=200, exclude_purchased=True).items
    assert novel
    assert not {item.item_id for item in novel} & set(BOUGHT["ann"])
    of_two = ask(http, "ann", n=200, categories=["c3", "c5"]).items
    assert {int(item.item_id[1:]) % 7 for item in of_two} == {3, 5}


def test_diversity_spreads_an_answer_over_categories(http: httpx.Client) -> None:
    best = [item.item_id for item in ask(http, "cleo", n=200, as_of=AS_OF_MS).items][:40]  # of all candidates
    but_one_kind = [item for item in best if int(item[1:]) % 7 != 2]

    def categories(**query: Any) -> list[int]:
        found = ask(http, "cleo", n=7, as_of=AS_OF_MS, exclude_items=but_one_kind, **query).items
        return [int(item.item_id[1:]) % 7 for item in found]

    plain, spread = categories(), categories(diversity=1.0)
    assert len(set(spread)) == 7 > len(set(plain))
    assert spread[0] == plain[0] == 2
    assert set(categories(diversity=1.0, categories=["c2"])) == {2}
    strangers = [int(item.item_id[1:]) % 7 for item in ask(http, "nobody", n=7, diversity=1.0).items]
    assert len(set(strangers)) == 7


def test_a_share_of_an_answer_is_new_to_the_customer(http: httpx.Client) -> None:
    def new(customer: str, **query: Any) -> int:
        items = ask(http, customer, as_of=AS_OF_MS, **query).items
        assert len(items) == query["n"]
        return sum(item.item_id not in BOUGHT[customer] for item in items)

    plain = new("cleo", n=4)
    assert [new("cleo", n=4, novelty=share) for share in (0.5, 1.0)] == [max(2, plain), 4]
    assert new("cleo", n=4, novelty=1.0, diversity=0.5) == 4


def test_the_request_is_recorded_as_it_was_understood(gateway: RunningGateway, http: httpx.Client) -> None:
    served = Topic(gateway.settings, gateway.settings.topics.served.name)
    context = ["store:3", "channel:app:beta"]
    reply = ask(http, "ann", n=4, context=context, diversity=0.25, exclude_items=["i1", "i2"])
    [message] = until(lambda: [m for m in served.poll() if m.key() == reply.recommendation_id.encode()])
    served.close()
    record = decode(message.value(), ServedRecord)
    assert record.reply == reply
    assert record.request.context == {"store": "3", "channel": "app:beta"}
    assert (record.request.n, record.request.diversity, record.request.exclude_items) == (4, 0.25, ["i1", "i2"])
    assert record.features is not None
    assert len(record.features.categorical) == 4
    assert {row[-1] for row in record.features.categorical} == {OUT_OF_VOCABULARY}
    told = request_columns(SHOP, [record.request.context], np.array([(reply.as_of or 0) * 1000]))
    _, numbers = Encoder.read(gateway.bundles[1].file("encoder.json")).encode(told, "request")
    for row in record.features.continuous:
        assert row[-4:] == pytest.approx(numbers[0].tolist(), abs=1e-6)


def test_what_is_posted_is_answered_as_what_stands_in_a_url(http: httpx.Client) -> None:
    path = "/customers/ann/recommendations"
    query = {"n": 5, "as_of": AS_OF_MS, "exclude_purchased": True, "diversity": 0.25, "categories": ["c1", "c3"]}
    posted = http.post(path, json={**query, "context": {"store": "3"}, "exclude_items": ["i1", "i2"]})
    reply = decode(posted.content, Reply)
    assert (posted.status_code, reply.status, len(reply.items)) == (200, Status.OK, 5)
    in_url = ask(http, "ann", **query, context="store:3", exclude_items=["i1", "i2"])
    assert [item.item_id for item in reply.items] == [item.item_id for item in in_url.items]
    many = [f"{'long' * 30}{k}" for k in range(997)] + ["i299", "i298", "i297"]  # twice as much as a URL holds
    left = decode(http.post(path, json={"n": 200, "exclude_items": many}).content, Reply)
    assert left.items
    assert not {"i299", "i298", "i297"} & {item.item_id for item in left.items}
    for body, status in ((b'{"n": 0}', 422), (b"{", 422), (b'{"as_of": "yesterday"}', 422)):
        assert http.post(path, content=body).status_code == status
    assert http.post(path, content=b"n=5", headers={"Content-Type": "text/plain"}).status_code == 415


def test_strangers_get_trending_with_the_reason(http: httpx.Client) -> None:
    reply = ask(http, "nobody", n=3)
    assert (reply.status, reply.reason, reply.seen) == (Status.FALLBACK, "unknown_customer", None)
    assert [item.item_id for item in reply.items] == ["i299", "i298", "i297"]
    assert ask(http, PROFILE_ONLY).reason == "missing_features"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/customers/ann/recommendations?n=0", 422, "invalid"),
        ("/customers/ann/recommendations?n=201", 422, "invalid"),
        ("/customers/ann/recommendations?diversity=1.5", 422, "invalid"),
        ("/customers/ann/recommendations?diversity=nan", 422, "invalid"),
        ("/customers/ann/recommendations?novelty=-0.1", 422, "invalid"),
        ("/customers/ann/recommendations?context=store", 422, "invalid"),
        (f"/customers/{'a' * 129}/recommendations", 422, "invalid"),
        ("/customers/a%00b/recommendations", 404, "unknown_customer"),
        ("/customers/a%2Fb/recommendations", 404, "not_found"),
        ("/nowhere", 404, "not_found"),
    ],
)
def test_what_is_no_question_is_told_so(http: httpx.Client, path: str, status: int, code: str) -> None:
    refused = http.get(path)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["status"] == status


def test_a_method_that_is_not_there(http: httpx.Client) -> None:
    refused = http.delete("/customers/ann/recommendations")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert refused.headers["allow"] == "GET"


def explanation(http: httpx.Client, recommendation_id: str, **query: Any) -> ExplainedAnswer:
    answer = http.get(f"/recommendations/{recommendation_id}", params=query)
    assert answer.status_code == 200, answer.text
    return decode(answer.content, ExplainedAnswer)


def test_an_answer_is_explained_by_what_moved_its_scores(gateway: RunningGateway, http: httpx.Client) -> None:
    """The tiny model is linear, so that each input's part in the score can be worked out from its weights."""
    reply = ask(http, "ann", n=5, explain=True)
    told = explanation(http, reply.recommendation_id, items=3, features=50)
    assert told.reply == reply
    assert all(item.explanation for item in told.reply.items)
    assert told.mattered is not None
    assert len(told.mattered) == 3
    for place, features in enumerate(told.mattered):
        strengths = [abs(feature.contribution) for feature in features]
        assert strengths == sorted(strengths, reverse=True)
        lines = {(f.group, f.name): f for f in features}.get(("pair", "pair_lines"))
        bought = reply.items[place].item_id in BOUGHT["ann"]
        assert (lines is not None and lines.value == pytest.approx(1.0)) == bought
    assert len(explanation(http, reply.recommendation_id, features=2).mattered[0]) == 2  # type: ignore[index]
    assert explanation(http, reply.recommendation_id, items=0).mattered is None


def test_a_fallback_is_explained_by_its_sources(http: httpx.Client) -> None:
    told = explanation(http, ask(http, "nobody").recommendation_id)
    assert told.mattered is None
    assert told.reply.reason == "unknown_customer"
    assert {source for item in told.reply.items for source in item.sources} == {Source.TRENDING}


def test_an_answer_that_nobody_gave_is_unknown(http: httpx.Client) -> None:
    refused = http.get("/recommendations/none")
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_recommendation")


def test_other_processes_answers_are_explained_too_until_they_are_deleted(
    gateway: RunningGateway, http: httpx.Client
) -> None:
    mine = ask(http, "ann")
    other = ServedRecord(
        recommendation_id="from-elsewhere",
        correlation_id="c",
        customer_id="ann",
        served_at=1,
        request=explanation(http, mine.recommendation_id).request,
        reply=mine,
    )
    topic = gateway.settings.topics.served.name
    gateway.send(topic, encode(other), "from-elsewhere")
    until(lambda: http.get("/recommendations/from-elsewhere").status_code == 200)
    assert explanation(http, "from-elsewhere").mattered is None
    gateway.send(topic, None, "from-elsewhere")
    until(lambda: http.get("/recommendations/from-elsewhere").status_code == 404)


def listed(http: httpx.Client, path: str, **query: Any) -> ItemList:
    answer = http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return decode(answer.content, ItemList)


def test_popular_items_are_those_bought_most(http: httpx.Client) -> None:
    found = listed(http, "/items/popular", n=3)
    assert [item.item_id for item in found.items] == ["i299", "i298", "i297"]
    first = found.items[0]
    assert (first.name, first.category, first.price) == ("Item 299", f"c{299 % 7}", 299 / 4)
    assert [item.item_id for item in listed(http, "/items/popular", n=2, category="c0").items] == ["i294", "i287"]
    assert listed(http, "/items/popular", category="no such").items == []


def looked_at(weight: int) -> bytes:
    """ITEM_STATE of an item that was looked at just now and never bought."""
    state = empty_items(1)
    slot = int(time.time() * 1e6) // SLOT
    state["hot_slot"] = slot
    state["hot"][0, slot % 32] = weight
    return state.tobytes()


def test_trending_items_are_those_of_the_last_hours(gateway: RunningGateway, http: httpx.Client) -> None:
    assert listed(http, "/items/trending").items == []
    for item, weight in (("i10", 30), ("i11", 60)):
        gateway.send(gateway.settings.topics.features_items.name, looked_at(weight), f"0:{item}")
    until(lambda: len(listed(http, "/items/trending").items) == 2)
    found = listed(http, "/items/trending").items
    assert [item.item_id for item in found] == ["i11", "i10"]
    assert found[0].score > found[1].score > 0
    assert [item.item_id for item in listed(http, "/items/trending", category="c3").items] == ["i10"]
