"""Posts that are sent twice: over a real gateway, and what is hard to time over a real Redis."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi import Response

from feature_repo.redis_commands import Client, connect
from serving.gateway import idempotency
from serving.gateway.idempotency import REPLAYED, Idempotency
from serving.gateway.problems import Problem
from serving.gateway.threads import Threads
from tests.serving.gateway.running import RunningGateway
from tests.serving.running import Topic, until


@pytest.fixture
def topic(gateway: RunningGateway) -> Iterator[Topic]:
    topic = Topic(gateway.settings, gateway.settings.topics.interactions.name)
    yield topic
    topic.close()


def events(*names: str) -> dict[str, Any]:
    about = {"customer_id": "ann", "item_id": "i7", "type": "view", "timestamp": 1_764_590_400_000}
    return {"interactions": [{"event_id": name, **about} for name in names]}


def key() -> dict[str, str]:
    return {"idempotency-key": uuid.uuid4().hex}


def named(topic: Topic) -> list[bytes]:
    """The events published, once the last one of a test is among them."""
    records = until(lambda: any(b'"last"' in record.value() for record in topic.poll()) and topic.messages)
    return [record.value().split(b'"')[3] for record in records]


def test_a_post_that_comes_again_is_answered_as_before_and_done_once(http: httpx.Client, topic: Topic) -> None:
    header = key()
    wrong = {"interactions": [*events("a")["interactions"], {"event_id": "b"}]}
    first = http.post("/interactions/bulk", json=wrong, headers=header)
    again = [http.post("/interactions/bulk", json=wrong, headers=header) for _ in range(3)]
    assert first.json()["accepted"] == 1
    assert REPLAYED not in first.headers
    assert [(each.status_code, each.json(), each.headers[REPLAYED]) for each in again] == [
        (202, first.json(), "true")
    ] * 3
    http.post("/interactions/bulk", json=events("last"))
    assert named(topic) == [b"a", b"last"]


def test_a_key_is_good_for_one_body_and_one_route(http: httpx.Client, topic: Topic) -> None:
    header = key()
    assert http.post("/interactions/bulk", json=events("a"), headers=header).status_code == 202
    refused = http.post("/interactions/bulk", json=events("b"), headers=header)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    items = http.post("/items/bulk", json={"items": [{"item_id": "keyed"}]}, headers=header)
    assert (items.status_code, REPLAYED in items.headers) == (202, False)
    again = http.post("/items/bulk", json={"items": [{"item_id": "keyed"}]}, headers=header)
    assert (again.json(), REPLAYED in again.headers) == ({"accepted": 1, "rejected": []}, True)
    customers = http.post("/customers/bulk", json={"customers": [{"customer_id": "keyed"}]}, headers=header)
    assert (customers.status_code, REPLAYED in customers.headers) == (202, False)
    http.post("/interactions/bulk", json=events("last"))
    assert named(topic) == [b"a", b"last"]


def test_a_post_that_failed_may_be_mended(http: httpx.Client, topic: Topic) -> None:
    header = key()
    for wrong in ({"interactions": 5}, {}):
        assert http.post("/interactions/bulk", json=wrong, headers=header).status_code == 422
    assert http.post("/interactions/bulk", json=events("mended"), headers=header).status_code == 202
    http.post("/interactions/bulk", json=events("last"))
    assert named(topic) == [b"mended", b"last"]


def test_of_posts_at_once_one_is_done(http: httpx.Client, topic: Topic) -> None:
    for number in range(5):
        header = key()
        post = events(f"once-{number}", *(f"filler-{number}-{n}" for n in range(500)))

        def send(_: int, post: dict[str, Any] = post, header: dict[str, str] = header) -> httpx.Response:
            return http.post("/interactions/bulk", json=post, headers=header)

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(send, range(6)))
        done = [each for each in answers if each.status_code == 202 and REPLAYED not in each.headers]
        assert len(done) == 1
        for each in answers:
            assert each.status_code == 202 or (each.status_code, each.json()["code"]) == (409, "under_way")
    http.post("/interactions/bulk", json=events("last"))
    assert [name for name in named(topic) if name.startswith(b"once")] == [b"once-%d" % n for n in range(5)]


@pytest.mark.parametrize("bad", ["", "two words", "x" * 256, "caf\xe9"])
def test_a_key_that_is_none_is_refused(http: httpx.Client, bad: str) -> None:
    headers = {"idempotency-key": bad.encode("latin-1")}
    answer = http.post("/interactions/bulk", json=events("a"), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.fixture
def client(redis_url: str) -> Client:
    return connect(redis_url, timeout_s=0.5, retries=0)


async def done() -> Response:
    return Response(b"done", 202, media_type="text/plain")


def test_while_the_first_is_under_way_the_second_is_put_off(client: Client) -> None:
    found = Idempotency(client, Threads())

    async def scenario() -> list[object]:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> Response:
            begun.set()
            await go_on.wait()
            return await done()

        first = asyncio.create_task(found.once("under-way", "me", "/posts", b"body", slow))
        await begun.wait()
        with pytest.raises(Problem) as second:
            await found.once("under-way", "me", "/posts", b"body", done)
        others = await found.once("under-way", "somebody else", "/posts", b"body", done)
        go_on.set()
        return [second.value.status_code, second.value.headers, others.status_code, (await first).body]

    assert asyncio.run(scenario()) == [409, {"Retry-After": "1"}, 202, b"done"]


def test_a_key_whose_gateway_died_comes_free_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "RUNNING_S", 1)
    found = Idempotency(client, Threads())

    async def scenario() -> list[str]:
        found._begin(idempotency.kept_at("me", "/posts", "died"), idempotency.digest_of(b"body"))  # and no more
        codes = []
        for _ in range(200):
            try:
                codes.append((await found.once("died", "me", "/posts", b"body", done)).body.decode())
                break
            except Problem as problem:
                codes.append(problem.code)
                await asyncio.sleep(0.02)
        return codes

    codes = asyncio.run(scenario())
    assert set(codes[:-1]) == {"under_way"}
    assert codes[-1] == "done"


def test_answers_are_forgotten_and_keys_are_kept_by_digest_only(client: Client) -> None:
    found = Idempotency(client, Threads())
    asyncio.run(found.once("secret-key", "me", "/posts", b"secret body", done))
    name = idempotency.kept_at("me", "/posts", "secret-key")
    assert 0 < client.ttl(name) <= idempotency.KEPT_S  # type: ignore[operator]
    assert b"secret" not in name
    assert b"secret" not in client.get(name)  # type: ignore[operator]


def test_without_redis_a_post_with_a_key_is_not_done() -> None:
    away = Idempotency(connect("redis://127.0.0.1:1/0", timeout_s=0.2, retries=0), Threads())

    async def never() -> Response:
        raise AssertionError("it was done")

    with pytest.raises(Problem) as refused:
        asyncio.run(away.once("key", "me", "/posts", b"body", never))
    assert (refused.value.status_code, refused.value.code) == (503, "unavailable")
    assert asyncio.run(away.once(None, "me", "/posts", b"body", done)).body == b"done"
