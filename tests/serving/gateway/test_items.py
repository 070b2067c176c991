"""Items over REST, on a real gateway with the streams beside it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from feature_repo.record_store import RecordStore
from feature_repo.redis_commands import connect
from streams.contracts.codec import decode, encode
from streams.contracts.events import Item
from streams.contracts.operations import DeadLetter
from tests.serving.gateway.running import RunningGateway
from tests.serving.gateway.streams_process import Streams, streams_of
from tests.serving.running import ITEMS, Topic, until

RYE: dict[str, Any] = {
    "name": "Rye bread, 500 g",
    "price": 2.49,
    "attributes": {"department": "BAKERY", "product_category": "BREAD", "brand": "Own"},
}


@pytest.fixture(scope="module", autouse=True)
def streams(gateway: RunningGateway) -> Iterator[Streams]:
    with streams_of(gateway) as streams:
        # The items that the shop came with are applied before tests list any.
        until(lambda: len(dict(records(gateway))) >= len(ITEMS))
        yield streams


def records(gateway: RunningGateway) -> RecordStore:
    return RecordStore(connect(gateway.settings.redis_url), "item")


def missing(gateway: RunningGateway, names: list[str]) -> list[str]:
    found = zip(names, records(gateway).get(names), strict=True)
    return [name for name, record in found if record is None]


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_an_item_is_readable_once_its_put_is_answered(gateway: RunningGateway, http: httpx.Client) -> None:
    topic = Topic(gateway.settings, gateway.settings.topics.items.name)
    made = http.put("/items/rye", json=RYE)
    assert (made.status_code, made.json()) == (201, {"item_id": "rye", **RYE})
    read = http.get("/items/rye")
    assert (read.status_code, read.json(), read.headers["etag"]) == (200, made.json(), made.headers["etag"])
    again = http.put("/items/rye", json={**RYE, "item_id": "rye", "available": False, "unknown": 10**30})
    assert again.status_code == 200
    assert http.get("/items/rye").json() == {"item_id": "rye", **RYE, "available": False}
    published = until(lambda: len(found := topic.poll()) >= 2 and found)
    topic.close()
    assert [(each.key(), f'"{each.partition()}-{each.offset()}"') for each in published] == [
        (b"rye", made.headers["etag"]),
        (b"rye", again.headers["etag"]),
    ]
    assert decode(published[1].value(), Item) == decode(again.content, Item)


def test_ids_of_any_script_stand_in_paths(http: httpx.Client) -> None:
    name = "Brötchen 5% «süß» ☕"
    assert http.put(f"/items/{name.replace('%', '%25')}", json={"name": "roll"}).json()["item_id"] == name
    assert http.get(f"/items/{name.replace('%', '%25')}").json() == {"item_id": name, "name": "roll"}


def test_items_called_like_the_lists_are_found_and_written(gateway: RunningGateway, http: httpx.Client) -> None:
    for name in ("popular", "trending", "bulk"):
        made = http.put(f"/items/{name}", json={"name": "Namesake"})
        assert made.status_code == 201
        changed = http.patch(f"/items/{name}", json={"price": 1.5}, headers={"If-Match": made.headers["etag"]})
        expected = {"item_id": name, "name": "Namesake", "price": 1.5}
        assert (changed.status_code, changed.json()) == (200, expected)
        until(lambda: expected in http.get("/items", params={"query": name}).json()["items"])  # noqa: B023
        assert http.delete(f"/items/{name}").status_code == 204
    assert "as_of" in http.get("/items/popular").json()
    assert http.get("/items/bulk").status_code == 404


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"{", "not_json"),
        (b'"rye"', "not_object"),
        (b'{"name": "\xff"}', "not_utf8"),
        (b'{"name": 5}', "wrong_type"),
        (b'{"price": -1}', "absurd_price"),
        (b'{"price": 1e9}', "absurd_price"),
        (b'{"item_id": "another"}', "key_mismatch"),
        (b'{"name": "%s"}' % (b"x" * 33_000), "too_large"),
        (encode({"attributes": {str(n): "" for n in range(65)}}), "too_large"),
        (b"[" * 5000, "not_json"),
    ],
)
def test_what_no_item_is_is_refused_for_the_reason_of_dead_letters(
    http: httpx.Client, body: bytes, reason: str
) -> None:
    headers = {"content-type": "application/json"}
    assert code(http.put("/items/refused", content=body, headers=headers)) == (422, reason)
    assert code(http.get("/items/refused")) == (404, "not_found")


def test_the_streams_refuse_the_same_for_the_same_reasons(gateway: RunningGateway, http: httpx.Client) -> None:
    bad = [
        {"item_id": ""},
        {"item_id": "a\nb"},
        {"item_id": 5},
        {"name": "nameless"},
        {"item_id": "x", "price": "2"},
        {"item_id": "x", "price": -1},
        {"item_id": "x", "available": "no"},
        {"item_id": "x", "attributes": {"size": 5}},
        {"item_id": "x" * 129},
        ["x"],
        None,
    ]
    refused = http.post("/items/bulk", json={"items": bad}).json()
    assert refused["accepted"] == 0
    letters = Topic(gateway.settings, gateway.settings.topics.dead_letters.name)
    for number, each in enumerate(bad):
        gateway.send(gateway.settings.topics.items.name, encode(each), str(number))
    gateway.producer.flush(10)
    found = until(lambda: len(messages := letters.poll()) >= len(bad) and messages)
    letters.close()
    reasons = {letter.key: letter.reason for letter in (decode(each.value(), DeadLetter) for each in found)}
    assert [each["reason"] for each in refused["rejected"]] == [reasons[str(n).encode()] for n in range(len(bad))]
    assert [each["index"] for each in refused["rejected"]] == list(range(len(bad)))


def test_a_body_of_another_kind_is_refused(http: httpx.Client) -> None:
    answer = http.put("/items/rye", content=b"name=Rye", headers={"content-type": "application/x-www-form-urlencoded"})
    assert code(answer) == (415, "unsupported_media_type")


def test_a_patch_changes_what_it_names(http: httpx.Client) -> None:
    made = http.put("/items/patched", json=RYE)
    changes = {"price": None, "available": False, "attributes": {"brand": None, "size": "L"}}
    headers = {"content-type": "application/merge-patch+json"}
    changed = http.patch("/items/patched", json=changes, headers=headers)
    expected = {
        "item_id": "patched",
        "name": RYE["name"],
        "available": False,
        "attributes": {"department": "BAKERY", "product_category": "BREAD", "size": "L"},
    }
    assert (changed.status_code, changed.json()) == (200, expected)
    assert http.get("/items/patched").json() == expected
    assert changed.headers["etag"] != made.headers["etag"]
    same = http.patch("/items/patched", json={"available": False, "price": None})
    assert (same.status_code, same.headers["etag"]) == (200, changed.headers["etag"])


@pytest.mark.parametrize(
    ("patch", "reason"),
    [({"item_id": "other"}, "key_mismatch"), ({"price": "x"}, "wrong_type"), ({"item_id": None}, "missing_field"),
     ([], "not_object")],
)  # fmt: skip
def test_a_patch_to_what_no_item_is_is_refused(http: httpx.Client, patch: object, reason: str) -> None:
    before = http.put("/items/kept", json=RYE)
    for headers in ({}, {"if-match": '"another"'}):  # whatever else is wrong
        assert code(http.patch("/items/kept", json=patch, headers=headers)) == (422, reason)
    assert http.get("/items/kept").headers["etag"] == before.headers["etag"]


def test_a_patch_that_is_nested_beyond_reason_is_refused(http: httpx.Client) -> None:
    http.put("/items/kept", json=RYE)
    for depth in (100, 300, 500, 900, 2000):
        body = b'{"attributes":' * depth + b"{}" + b"}" * depth
        answer = http.patch("/items/kept", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422, answer.text


def test_nothing_is_patched_that_is_not_there(http: httpx.Client) -> None:
    assert code(http.patch("/items/nobody", json={"price": 1})) == (404, "not_found")
    assert code(http.get("/items/nobody")) == (404, "not_found")


def test_of_patches_at_once_none_is_lost(http: httpx.Client) -> None:
    http.put("/items/crowded", json={"name": "crowded"})

    def patch(number: int) -> int:
        return http.patch("/items/crowded", json={"attributes": {f"a{number}": str(number)}}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(patch, range(12))) == [200] * 12
    assert http.get("/items/crowded").json()["attributes"] == {f"a{n}": str(n) for n in range(12)}


def test_a_patch_sees_what_was_published_on_kafka_just_before(gateway: RunningGateway, http: httpx.Client) -> None:
    for number in range(5):
        item = Item(item_id="theirs", name=f"version {number}")
        gateway.send(gateway.settings.topics.items.name, encode(item), "theirs")
        gateway.producer.flush(10)
        assert http.patch("/items/theirs", json={"price": number}).json()["name"] == f"version {number}"


def test_a_write_with_preconditions_goes_ahead_only_where_they_hold(http: httpx.Client) -> None:
    first = http.put("/items/guarded", json=RYE, headers={"if-none-match": "*"})
    assert first.status_code == 201
    assert code(http.put("/items/guarded", json={}, headers={"if-none-match": "*"})) == (412, "precondition_failed")
    tag = {"if-match": first.headers["etag"]}
    second = http.put("/items/guarded", json={"name": "second"}, headers=tag)
    assert second.status_code == 200
    for answer in (
        http.put("/items/guarded", json={"name": "third"}, headers=tag),
        http.patch("/items/guarded", json={"name": "third"}, headers=tag),
        http.delete("/items/guarded", headers=tag),
        http.put("/items/never", json={}, headers={"if-match": "*"}),
    ):
        assert code(answer) == (412, "precondition_failed")
    assert http.get("/items/guarded").json()["name"] == "second"
    current = {"if-none-match": second.headers["etag"]}
    unchanged = http.get("/items/guarded", headers=current)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert http.get("/items/guarded", headers={"if-none-match": first.headers["etag"]}).status_code == 200
    assert http.delete("/items/guarded", headers={"if-match": second.headers["etag"]}).status_code == 204


def test_of_conditional_writes_at_once_one_wins(http: httpx.Client) -> None:
    tag = http.put("/items/contested", json={"name": "before"}).headers["etag"]

    def put(number: int) -> int:
        return http.put("/items/contested", json={"name": str(number)}, headers={"if-match": tag}).status_code

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(put, range(5))) == [200, 412, 412, 412, 412]


def test_a_deleted_item_is_gone_and_may_come_back(http: httpx.Client) -> None:
    http.put("/items/gone", json=RYE)
    assert [http.delete("/items/gone").status_code for _ in range(2)] == [204, 204]
    assert code(http.get("/items/gone")) == (404, "not_found")
    assert code(http.patch("/items/gone", json={})) == (404, "not_found")
    assert http.put("/items/gone", json=RYE).status_code == 201
    assert http.get("/items/gone").status_code == 200


def test_who_does_not_want_to_wait_is_told_at_once(http: httpx.Client) -> None:
    answer = http.put("/items/async", json=RYE, headers={"prefer": "respond-async"})
    assert answer.status_code == 202
    read = until(lambda: (read := http.get("/items/async")).status_code == 200 and read)
    assert read.headers["etag"] == answer.headers["etag"]


def test_a_bulk_post_takes_what_is_right(gateway: RunningGateway, http: httpx.Client) -> None:
    items: list[object] = [{"item_id": f"bulk-{n}", "name": f"Bulk {n}"} for n in range(1000)]
    items[3], items[700] = {"item_id": "bulk-3", "price": -1}, 5
    answer = http.post("/items/bulk", json={"items": items})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 998
    assert [(each["index"], each["reason"]) for each in answer.json()["rejected"]] == [
        (3, "absurd_price"),
        (700, "not_object"),
    ]
    until(lambda: missing(gateway, [f"bulk-{n}" for n in range(1000)]) == ["bulk-3", "bulk-700"])
    assert http.get("/items/bulk-999").json() == items[999]
    assert code(http.post("/items/bulk", json={"items": [*items, {}]})) == (413, "too_many")
    assert code(http.post("/items/bulk", json=items)) == (422, "not_object")
    assert code(http.post("/items/bulk", json={"customers": []})) == (422, "missing_field")
    assert http.post("/items/bulk", json={"items": []}).json() == {"accepted": 0, "rejected": []}


def all_pages(http: httpx.Client, **asked: Any) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = http.get("/items", params={**asked, **cursor}).raise_for_status().json()
        assert len(page["items"]) <= asked["limit"]
        found += [item["item_id"] for item in page["items"]]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def test_pages_of_the_catalogue_make_up_the_whole(gateway: RunningGateway, http: httpx.Client) -> None:
    everything = sorted(name for name, _ in records(gateway))
    assert set(ITEMS) <= set(everything)
    until(lambda: all_pages(http, limit=500) == everything)
    assert all_pages(http, limit=37) == everything


def test_items_are_found_by_words_category_and_availability(http: httpx.Client) -> None:
    http.put("/items/find-1", json={**RYE, "name": "Sourdough LOAF"})
    http.put("/items/find-2", json={**RYE, "name": "sourdough rolls", "available": False})
    http.put("/items/find-3", json={"name": "Sourdough starter", "attributes": {"department": "BAKING"}})
    expected = {
        ("sourdough",): ["find-1", "find-2", "find-3"],
        ("loaf SOUR",): ["find-1"],
        ("sourdough bakery",): ["find-1", "find-2"],
        ("find-2",): ["find-2"],
        ("sourdough", "BREAD"): ["find-1", "find-2"],
        ("sourdough", "BREAD", True): ["find-1"],
        ("sourdough", None, False): ["find-2"],
        ("sourdough", "NO SUCH CATEGORY"): [],
    }
    for asked, ids in expected.items():
        pairs = zip(("query", "category", "available"), asked, strict=False)
        params = {name: value for name, value in pairs if value is not None}
        until(lambda params=params, ids=ids: all_pages(http, limit=2, **params) == ids)
    http.put("/items/find-1", json={**RYE, "name": "Wholemeal loaf"})
    until(lambda: all_pages(http, limit=2, query="sourdough") == ["find-2", "find-3"])
    http.delete("/items/find-3")
    assert all_pages(http, limit=2, query="sourdough") == ["find-2"]


@pytest.mark.parametrize(
    "params", [{"cursor": "?"}, {"cursor": "k5M"}, {"limit": 0}, {"limit": 501}, {"available": "x"}]
)
def test_a_page_that_can_not_be_is_refused(http: httpx.Client, params: dict[str, Any]) -> None:
    assert http.get("/items", params=params).status_code == 422


def test_while_the_streams_are_away_writes_are_accepted_and_conditions_refused(
    streams: Streams, http: httpx.Client
) -> None:
    before = http.put("/items/patient", json={"name": "before"})
    streams.stop()
    accepted = http.put("/items/patient", json={"name": "after"})
    assert (accepted.status_code, accepted.json()["name"]) == (202, "after")
    assert http.get("/items/patient").headers["etag"] == before.headers["etag"]
    refused = http.patch("/items/patient", json={"price": 1})
    assert code(refused) == (503, "unavailable")
    assert refused.headers["retry-after"]
    assert http.delete("/items/other").status_code == 202
    streams.start()
    until(lambda: http.get("/items/patient").headers["etag"] == accepted.headers["etag"])
    assert http.patch("/items/patient", json={"price": 1}).json()["name"] == "after"
