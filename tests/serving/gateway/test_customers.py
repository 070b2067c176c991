"""Customers over REST, on a real gateway with the streams beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from feature_repo.record_store import RecordStore
from feature_repo.redis_commands import connect
from streams.contracts.codec import encode
from streams.contracts.topics import ERASURE_HEADER
from tests.serving.gateway.running import RunningGateway
from tests.serving.gateway.streams_process import Streams, streams_of
from tests.serving.running import Topic, until

ANN = {"attributes": {"age": "45-54", "household_size": "2"}}


@pytest.fixture(scope="module", autouse=True)
def streams(gateway: RunningGateway) -> Iterator[Streams]:
    with streams_of(gateway) as streams:
        yield streams


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_a_customer_is_made_read_changed_and_erased(http: httpx.Client) -> None:
    made = http.put("/customers/1842", json=ANN, headers={"if-none-match": "*"})
    assert (made.status_code, made.json()) == (201, {"customer_id": "1842", **ANN})
    changed = http.patch("/customers/1842", json={"attributes": {"age": "55-64", "household_size": None}})
    assert (changed.status_code, changed.json()["attributes"]) == (200, {"age": "55-64"})
    read = http.get("/customers/1842")
    assert (read.json(), read.headers["etag"]) == (changed.json(), changed.headers["etag"])
    assert code(http.delete("/customers/1842", headers={"if-match": made.headers["etag"]}))[0] == 412
    assert http.delete("/customers/1842").status_code == 204
    assert code(http.get("/customers/1842")) == (404, "not_found")
    assert code(http.patch("/customers/1842", json=ANN)) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"[]", "not_object"),
        (b'{"attributes": []}', "wrong_type"),
        (b'{"attributes": {"age": 45}}', "wrong_type"),
        (b'{"customer_id": "1843"}', "key_mismatch"),
        (encode({"attributes": {str(n): "" for n in range(65)}}), "too_large"),
    ],
)
def test_what_no_customer_is_is_refused(http: httpx.Client, body: bytes, reason: str) -> None:
    headers = {"content-type": "application/json"}
    assert code(http.put("/customers/refused", content=body, headers=headers)) == (422, reason)
    assert code(http.get("/customers/refused")) == (404, "not_found")


def test_an_id_that_is_none_is_refused(http: httpx.Client) -> None:
    for name in ("x" * 129, "a%0Ab", "%00"):
        assert code(http.put(f"/customers/{name}", json={})) == (422, "bad_id")
        assert code(http.delete(f"/customers/{name}")) == (422, "bad_id")
        assert code(http.get(f"/customers/{name}")) == (404, "not_found")


def test_deleting_erases_in_the_order_of_the_stream(gateway: RunningGateway, http: httpx.Client) -> None:
    """Also a customer who has no record, only bought something."""
    interactions = Topic(gateway.settings, gateway.settings.topics.interactions.name)
    event = {"customer_id": "erased", "item_id": "i1", "type": "purchase", "timestamp": int(time.time() * 1000)}
    http.post("/interactions", json={"event_id": "before", **event}).raise_for_status()
    until(lambda: seen(http, "erased") is not None)
    assert http.delete("/customers/erased").status_code == 204
    http.post("/interactions", json={"event_id": "after", **event}).raise_for_status()
    found = until(lambda: len(records := interactions.poll()) >= 3 and records)
    interactions.close()
    assert [each.key() for each in found] == [b"erased"] * 3
    assert [ERASURE_HEADER in dict(each.headers() or []) for each in found] == [False, True, False]
    until(lambda: seen(http, "erased") is None)


def seen(http: httpx.Client, customer: str) -> dict[str, Any] | None:
    reply = http.get(f"/customers/{customer}/recommendations").raise_for_status().json()
    found: dict[str, Any] | None = reply["seen"]
    return found


def all_pages(http: httpx.Client, limit: int) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = http.get("/customers", params={"limit": limit, **cursor}).raise_for_status().json()
        found += [customer["customer_id"] for customer in page["customers"]]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def test_customers_are_listed_in_pages(gateway: RunningGateway, http: httpx.Client) -> None:
    posted = [{"customer_id": f"listed-{n}"} for n in range(700)]
    answer = http.post("/customers/bulk", json={"customers": [*posted, {"customer_id": 5}]})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 700)
    assert [(each["index"], each["reason"]) for each in answer.json()["rejected"]] == [(700, "wrong_type")]
    store = RecordStore(connect(gateway.settings.redis_url), "customer")
    until(lambda: all(record is not None for record in store.get([each["customer_id"] for each in posted])))
    http.put("/customers/listed-0", json=ANN)
    http.delete("/customers/listed-1")
    everybody = {name for name, _ in store}
    assert {f"listed-{n}" for n in range(700) if n != 1} <= everybody
    for limit in (7, 500):
        assert set(all_pages(http, limit)) == everybody


@pytest.mark.parametrize("cursor", ["?", "k5M", "kv8A", "k88AAAAAAAAAAc8AAAAAAAAAAQ", "oWE"])
def test_a_cursor_of_somebody_elses_is_refused_or_the_end(http: httpx.Client, cursor: str) -> None:
    answer = http.get("/customers", params={"cursor": cursor})
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        assert answer.json() == {"customers": [], "next": None}
    else:
        assert answer.json()["code"] == "bad_cursor"
