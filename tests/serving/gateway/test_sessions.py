"""A visitor is answered as a customer would be who did just that."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from feature_repo.customer_features import customer_features
from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.online_store import POSITION
from feature_repo.views import customer_purchases
from streams.contracts.codec import decode
from streams.contracts.requests import Reply, Source, Status
from tests.serving.gateway.running import RunningGateway
from tests.serving.running import SHOP
from tests.serving.shop import looks

pytestmark = pytest.mark.stack

VIEWED = ["i10", "i20", "i30"]


def ask(http: httpx.Client, events: list[dict[str, Any]], **more: Any) -> Reply:
    answer = http.post("/sessions/recommendations", json={"events": events, **more})
    assert answer.status_code == 200, answer.text
    return decode(answer.content, Reply)


def views(items: list[str], until_ms: int | None = None) -> list[dict[str, Any]]:
    """A view of each, a minute apart where there is a time, else in order only."""
    times = {} if until_ms is None else {place: until_ms - 60_000 * place for place in range(len(items))}
    return [
        {"item_id": item, "type": "view", **({"timestamp": times[len(items) - 1 - place]} if times else {})}
        for place, item in enumerate(items)
    ]


def test_a_visitor_gets_what_a_customer_of_the_same_deeds_gets(gateway: RunningGateway, http: httpx.Client) -> None:
    """The row of that customer is written by hand, byte by byte, and not by what makes visitors' rows."""
    now_ms = int(time.time() * 1000)
    row = CustomerRow(b"", looks(VIEWED, now_ms * 1000), b"", b"", 3)
    states = CustomerStates.from_rows([row])
    columns: dict[str, Any] = dict(customer_features(SHOP, states, gateway.items().catalogue))
    columns |= {"history": [row.history], "recent": [row.recent]}
    gateway.store.write_rows(
        customer_purchases(SHOP), ["gil"], columns, np.array([now_ms * 1000]), [3], version_field=POSITION
    )
    known = decode(http.get("/customers/gil/recommendations", params={"n": 50, "as_of": now_ms}).content, Reply)
    visiting = ask(http, views(VIEWED, now_ms), n=50, as_of=now_ms)
    assert known.status is visiting.status is Status.OK
    assert [item.item_id for item in visiting.items] == [item.item_id for item in known.items]
    np.testing.assert_allclose([item.score for item in visiting.items], [item.score for item in known.items], rtol=1e-5)
    assert visiting.seen is None
    assert visiting.customer_id == "anonymous"


def test_what_was_looked_at_is_proposed_the_last_first(http: httpx.Client) -> None:
    def of_the_session(items: list[str]) -> set[str]:
        return {item.item_id for item in ask(http, views(items), n=200).items if Source.SESSION in item.sources}

    assert set(VIEWED) <= of_the_session(VIEWED)
    assert "i44" not in of_the_session(VIEWED)
    assert "i44" in of_the_session(["i44"])


def test_a_visitor_who_did_nothing_yet_is_answered(http: httpx.Client) -> None:
    reply = ask(http, [], n=5)
    assert (reply.status, reply.model_version, len(reply.items)) == (Status.OK, 1, 5)


def test_filters_hold_for_visitors_too(http: httpx.Client) -> None:
    bought = [{"item_id": "i9", "type": "purchase", "quantity": 2}, *views(["i2"])]
    assert "i9" in {item.item_id for item in ask(http, bought, n=200).items}
    novel = ask(http, bought, n=200, exclude_purchased=True, exclude_items=["i2"])
    assert not {"i9", "i2"} & {item.item_id for item in novel.items}
    of_one = ask(http, views(["i2"]), n=50, categories=["c4"])
    assert {int(item.item_id[1:]) % 7 for item in of_one.items} == {4}


def test_visitors_and_customers_are_answered_side_by_side(http: httpx.Client) -> None:
    """In one batch or in two: nobody gets another's answer."""
    alone = {
        "ann": http.get("/customers/ann/recommendations?as_of=1900000000000").json()["items"],
        "visitor": ask(http, views(VIEWED), as_of=1_900_000_000_000).items,
    }
    with ThreadPoolExecutor(8) as pool:
        customers = [pool.submit(http.get, "/customers/ann/recommendations?as_of=1900000000000") for _ in range(20)]
        visitors = [pool.submit(ask, http, views(VIEWED), as_of=1_900_000_000_000) for _ in range(20)]
        for answer in customers:
            assert [item["item_id"] for item in answer.result().json()["items"]] == [
                item["item_id"] for item in alone["ann"]
            ]
        for reply in visitors:
            assert [item.item_id for item in reply.result().items] == [item.item_id for item in alone["visitor"]]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty"),
        (b"{", "not_json"),
        (b"[]", "not_object"),
        (b"{}", "missing_field"),
        (b'{"events":[{"item_id":"i1","type":"stare"}]}', "wrong_type"),
        (b'{"events":[],"n":0}', "out_of_range"),
        (b'{"events":[],"diversity":2}', "out_of_range"),
        (b'{"events":[],"context":{"a":"\\ud800"}}', "not_json"),
        (b"\xff", "not_utf8"),
    ],
)
def test_what_is_no_visit_is_told_so(http: httpx.Client, body: bytes, code: str) -> None:
    refused = http.post("/sessions/recommendations", content=body)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_body_beyond_the_limit_is_not_read(gateway: RunningGateway, http: httpx.Client) -> None:
    limit = gateway.settings.gateway_max_body_bytes
    declared = http.post("/sessions/recommendations", content=b"x" * (limit + 1))
    assert (declared.status_code, declared.json()["code"]) == (413, "too_large")

    def endless() -> Any:
        for _ in range(limit // 65_536 + 2):
            yield b"x" * 65_536

    chunked = http.post("/sessions/recommendations", content=endless())
    assert (chunked.status_code, chunked.json()["code"]) == (413, "too_large")
