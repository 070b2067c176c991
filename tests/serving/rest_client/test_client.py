"""Both clients over real connections: what they send, what they make of answers, and when they try again."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from serving.rest_client import (
    AsyncHeadwaterClient,
    ConflictError,
    HeadwaterClient,
    HeadwaterError,
    NotFoundError,
    RefusedError,
    Stored,
    UnreachableError,
    UnreadableError,
    VisitEvent,
    VisitRequest,
    interaction,
)
from serving.rest_client.errors import refused
from serving.rest_client.operations import Operation, Operations
from streams.contracts.events import Customer, Interaction, InteractionType, Item
from tests.serving.rest_client.scripted_gateway import (
    HANGS_UP,
    Scripted,
    ScriptedGateway,
    problem,
    scripted_gateway,
)

MILK = Item(item_id="995242", name="Milk", attributes={"brand": "Own"})
STORED_MILK = Scripted(200, msgspec.to_builtins(MILK), {"ETag": '"1:7"'})
RECEIPT = {"accepted": 1, "rejected": [{"index": 1, "reason": "bad_id", "detail": "item_id '' must be …"}]}

Do = Callable[..., Any]
"""Does one operation by a client's method of that name."""


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    with scripted_gateway() as server:
        yield server
        assert not server.script, "not everything was asked for"


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest, gateway: ScriptedGateway) -> Do:
    """Both clients do the same."""
    options = {"attempts": 3, "patience_s": 5.0, "timeout_s": 20.0}

    def wait(name: str, *args: Any, **kwargs: Any) -> Any:
        with HeadwaterClient(gateway.url, "hw_k", **options) as client:
            return getattr(client, name)(*args, **kwargs)

    async def await_(name: str, *args: Any, **kwargs: Any) -> Any:
        async with AsyncHeadwaterClient(gateway.url, "hw_k", **options) as client:
            return await getattr(client, name)(*args, **kwargs)

    return wait if request.param == "sync" else lambda *args, **kwargs: asyncio.run(await_(*args, **kwargs))


def test_a_record_comes_with_its_version_and_is_written_only_over_it(gateway: ScriptedGateway, do: Do) -> None:
    gateway.script = [STORED_MILK, Scripted(200, msgspec.to_builtins(MILK), {"ETag": '"1:8"'})]
    found = do("item", "995242")
    assert found == Stored(MILK, '"1:7"')
    assert do("put_item", found.record, if_match=found.etag).etag == '"1:8"'
    assert [asked.line for asked in gateway.asked] == ["GET /items/995242", "PUT /items/995242"]
    put = gateway.asked[1]
    assert put.headers["if-match"] == '"1:7"'
    assert put.headers["content-type"] == "application/json"
    assert put.headers["authorization"] == "Bearer hw_k"
    assert msgspec.json.decode(put.body, type=Item) == MILK


def test_a_patch_sends_null_for_what_is_removed(gateway: ScriptedGateway, do: Do) -> None:
    gateway.script = [STORED_MILK]
    do("patch_item", "995242", {"price": None, "attributes": {"brand": "Own"}})
    (asked,) = gateway.asked
    assert asked.body == b'{"price":null,"attributes":{"brand":"Own"}}'
    assert asked.headers["content-type"] == "application/merge-patch+json"


def test_an_overloaded_gateway_is_asked_again_when_it_says(gateway: ScriptedGateway, do: Do) -> None:
    gateway.script = [problem(503, "busy", Retry_After="0"), problem(429, "limited", Retry_After="1"), STORED_MILK]
    assert do("item", "995242").record == MILK
    assert len(gateway.asked) == 3


def test_a_refused_post_was_not_begun_and_is_sent_again(gateway: ScriptedGateway, do: Do) -> None:
    key = {"key": "hw_1", "key_id": "1", "client": "c", "scopes": ["ingest"], "created_at": 1}
    gateway.script = [problem(429, "limited", Retry_After="0"), Scripted(201, key)]
    assert do("create_key", "c", ["ingest"]).key == "hw_1"


def test_who_would_have_to_wait_too_long_is_told(gateway: ScriptedGateway, do: Do) -> None:
    gateway.script = [problem(429, "limited", Retry_After="3600")]
    with pytest.raises(RefusedError) as caught:
        do("item", "995242")
    assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (429, "limited", 3600.0)


def test_after_the_last_attempt_the_answer_is_raised(gateway: ScriptedGateway, do: Do) -> None:
    gateway.script = [problem(503, "busy", Retry_After="0")] * 3
    with pytest.raises(RefusedError, match="GET /items/995242: 503 busy: about busy"):
        do("item", "995242")


def test_a_broken_connection_is_tried_again_where_twice_is_once(gateway: ScriptedGateway, do: Do) -> None:
    gateway.script = [HANGS_UP, Scripted(202, {"accepted": 1, "rejected": []})]
    event = interaction("1842", "995242", "purchase", quantity=2)
    assert do("publish", event).accepted == 1
    first, again = (msgspec.json.decode(asked.body, type=Interaction) for asked in gateway.asked)
    assert first == again == event


def test_a_broken_connection_is_not_tried_again_where_twice_is_two(gateway: ScriptedGateway, do: Do) -> None:
    gateway.script = [HANGS_UP]
    with pytest.raises(UnreachableError, match=r"POST /keys: no answer from http://127.0.0.1:\d+ "):
        do("create_key", "c", ["admin"])


@pytest.mark.parametrize(
    ("status", "kind"), [(400, RefusedError), (404, NotFoundError), (409, ConflictError), (412, ConflictError)]
)
def test_a_problem_is_raised_at_once_as_what_it_is(
    gateway: ScriptedGateway, do: Do, status: int, kind: type[RefusedError]
) -> None:
    gateway.script = [problem(status, "some_code")]
    with pytest.raises(HeadwaterError) as caught:
        do("delete_item", "995242")
    assert type(caught.value) is kind
    assert str(caught.value) == f"DELETE /items/995242: {status} some_code: about some_code"
    assert "hw_k" not in str(caught.value)


def test_a_page_that_is_no_problem_is_shown(gateway: ScriptedGateway, do: Do) -> None:
    gateway.script = [Scripted(502, b"<html>Bad gateway")]
    with pytest.raises(RefusedError, match="502 : <html>Bad gateway"):
        do("item", "995242")


def test_an_answer_of_another_version_is_named(gateway: ScriptedGateway, do: Do) -> None:
    gateway.script = [Scripted(200, {"id": 7})]
    with pytest.raises(UnreadableError, match=r"GET /items/995242: .*missing required field `item_id`.*version"):
        do("item", "995242")


def test_pages_lead_to_the_next_one(gateway: ScriptedGateway, do: Do) -> None:
    anna = Customer(customer_id="anna")
    gateway.script = [
        Scripted(200, {"items": [msgspec.to_builtins(MILK)], "next": "c+/="}),
        Scripted(200, {"customers": [msgspec.to_builtins(anna)], "next": None}),
    ]
    page = do("items", query="milk & more", available=False, limit=1)
    assert (page.items, page.next_cursor) == ([MILK], "c+/=")
    page = do("customers", cursor=page.next_cursor)
    assert (page.items, page.next_cursor) == ([anna], None)
    assert [asked.line for asked in gateway.asked] == [
        "GET /items?query=milk+%26+more&available=false&limit=1",
        "GET /customers?cursor=c%2B%2F%3D&limit=100",
    ]


def test_many_events_are_one_post_and_rejections_come_by_index(gateway: ScriptedGateway, do: Do) -> None:
    gateway.script = [Scripted(202, RECEIPT)]
    events = [interaction("1842", item, InteractionType.VIEW) for item in ("995242", "")]
    receipt = do("publish_many", events, idempotency_key="post-1")
    assert (receipt.accepted, [rejection.index for rejection in receipt.rejected]) == (1, [1])
    (asked,) = gateway.asked
    assert asked.headers["idempotency-key"] == "post-1"
    assert msgspec.json.decode(asked.body) == {"interactions": msgspec.to_builtins(events)}


def test_a_question_says_what_is_asked_for_and_nothing_else(gateway: ScriptedGateway, do: Do) -> None:
    reply = {"correlation_id": "c", "recommendation_id": "r", "customer_id": "1842", "status": "ok", "items": []}
    gateway.script = [Scripted(200, reply)] * 3
    do("recommendations", "1842")
    noon = datetime.datetime(2025, 12, 1, 12, tzinfo=datetime.UTC)
    do("recommendations", "1842", n=3, context={"store": "3"}, exclude_items=["a", "b"], as_of=noon, explain=True)
    do("session_recommendations", VisitRequest(events=[VisitEvent(item_id="995242", type=InteractionType.VIEW)], n=5))
    assert [asked.line for asked in gateway.asked] == [
        "GET /customers/1842/recommendations?n=10",
        "GET /customers/1842/recommendations?n=3&exclude_items=a&exclude_items=b&explain=true&as_of=1764590400000"
        "&context=store%3A3",
        "POST /sessions/recommendations",
    ]
    assert gateway.asked[2].body == b'{"n":5,"events":[{"item_id":"995242","type":"view"}]}'


def test_a_question_too_long_for_a_url_is_posted(gateway: ScriptedGateway, do: Do) -> None:
    reply = {"correlation_id": "c", "recommendation_id": "r", "customer_id": "1842", "status": "ok", "items": []}
    gateway.script = [Scripted(200, reply)]
    out = [f"{k:0100}" for k in range(1000)]
    noon = datetime.datetime(2025, 12, 1, 12, tzinfo=datetime.UTC)
    do(
        "recommendations",
        "1842",
        exclude_items=out,
        context={"store": "3"},
        as_of=noon,
        diversity=0.5,
        novelty=0.2,
        deadline_ms=50,
    )
    (asked,) = gateway.asked
    assert asked.line == "POST /customers/1842/recommendations"
    assert msgspec.json.decode(asked.body) == {
        "exclude_items": out, "context": {"store": "3"}, "as_of": 1764590400000, "diversity": 0.5, "novelty": 0.2,
        "deadline_ms": 50,
    }  # fmt: skip


def test_what_is_wrong_with_the_gateway_is_an_answer(gateway: ScriptedGateway, do: Do) -> None:
    state = {"ready": False, "checks": {"redis": "gone"}, "degraded": [], "model_version": None}
    gateway.script = [Scripted(503, state)]
    assert do("ready").checks == {"redis": "gone"}


def test_url_and_key_come_from_the_environment(gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_GATEWAY_URL", gateway.url)
    monkeypatch.setenv("HEADWATER_API_KEY", "hw_from_environment")
    gateway.script = [Scripted(204)]
    with HeadwaterClient() as client:
        client.delete_customer("1842")
        assert "hw_from" not in repr(client)
    assert gateway.asked[0].headers["authorization"] == "Bearer hw_from_environment"


def test_nobody_there_is_an_error_that_says_so() -> None:
    with HeadwaterClient("http://127.0.0.1:1", attempts=2) as client, pytest.raises(UnreachableError, match="running"):
        client.items()


def test_an_instant_after_which_to_come_back_counts_from_now() -> None:
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    later = refused("GET /items", 503, {"retry-after": email.utils.format_datetime(at)}, b"{}").retry_after_s
    assert later is not None
    assert 3500 < later <= 3600
    assert refused("GET /items", 503, {"retry-after": "soon"}, b"{}").retry_after_s is None


def test_operations_describe_calls_where_there_is_no_client() -> None:
    names = [name for name, found in vars(Operations).items() if isinstance(found, Operation)]
    assert len(names) > 20
    for name in names:
        assert getattr(HeadwaterClient, name) is getattr(AsyncHeadwaterClient, name)
        assert getattr(HeadwaterClient, name).__doc__
    assert str(HeadwaterClient.item("A 17")) == "GET /items/A%2017"
