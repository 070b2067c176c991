"""Interactions over REST: what is taken is in Kafka as it was sent, what is not is told for the true reason."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from streams.contracts.codec import decode, encode
from streams.contracts.operations import DeadLetter
from streams.contracts.partitioner import partition_of
from tests.serving.gateway.running import RunningGateway
from tests.serving.gateway.streams_process import streams_of
from tests.serving.running import Topic, until


@pytest.fixture
def topic(gateway: RunningGateway) -> Iterator[Topic]:
    topic = Topic(gateway.settings, gateway.settings.topics.interactions.name)
    yield topic
    topic.close()


def event(**fields: Any) -> dict[str, Any]:
    return {
        "event_id": uuid.uuid4().hex,
        "customer_id": "ann",
        "item_id": "i7",
        "type": "view",
        "timestamp": int(time.time() * 1000),
        **fields,
    }


BAD: list[Any] = [
    event(event_id=""),
    event(customer_id="a\tb"),
    event(item_id="x" * 129),
    event(customer_id=5),
    {name: value for name, value in event().items() if name != "item_id"},
    event(type="sniff"),
    event(timestamp="yesterday"),
    event(timestamp="2025-12-01T11:59:30"),
    event(timestamp=1_700_000_000),
    event(timestamp=int(time.time() * 1000) + 3 * 86_400_000),
    event(quantity=0),
    event(quantity=1.5),
    event(quantity=2_000_000),
    event(price=-3),
    event(price=2e6),
    event(price=999_999, quantity=1_000_000),
    event(type="rating"),
    event(type="rating", rating=101),
    event(context={"store": 5}),
    event(context={str(n): "" for n in range(65)}),
    event(session_id=""),
    event(note="x" * 33_000),
    [],
    "view",
    None,
]
"""Each is wrong in one way or two."""


def test_an_event_is_in_kafka_as_it_was_sent(http: httpx.Client, topic: Topic) -> None:
    body = b' {"customer_id": "c\xc3\xa9line", "more": [1, {"than": "asked"}], ' + encode(event())[1:]
    body = body.replace(b'"customer_id":"ann",', b"")
    answer = http.post("/interactions", content=body, headers={"content-type": "application/json; charset=utf-8"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "rejected": []})
    (record,) = until(topic.poll)
    assert (record.key(), record.value()) == ("céline".encode(), body)
    assert record.partition() == partition_of("céline".encode(), 4)


@pytest.mark.parametrize("wrong", BAD, ids=str)
def test_an_event_that_is_wrong_is_refused(http: httpx.Client, wrong: Any) -> None:
    answer = http.post("/interactions", content=encode(wrong))
    assert answer.status_code == 422
    (rejection,) = http.post("/interactions/bulk", json={"interactions": [wrong]}).json()["rejected"]
    assert (answer.json()["code"], answer.json()["detail"]) == (rejection["reason"], rejection["detail"])


def test_of_a_bulk_post_what_is_right_is_taken_in_order(http: httpx.Client, topic: Topic) -> None:
    events: list[Any] = [event(customer_id=f"c{n % 7}", session_id=str(n)) for n in range(1000 - len(BAD))]
    places = [40 * n for n in range(len(BAD))]
    for place, wrong in zip(places, BAD, strict=True):
        events.insert(place, wrong)
    answer = http.post("/interactions/bulk", json={"interactions": events})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1000 - len(BAD)
    assert [each["index"] for each in answer.json()["rejected"]] == places
    records = until(lambda: len(found := topic.poll()) >= 1000 - len(BAD) and found)
    taken = [decode(record.value(), dict) for record in records]
    assert sorted(each["event_id"] for each in taken) == sorted(
        each["event_id"] for n, each in enumerate(events) if n not in places
    )
    for customer in range(7):
        sessions = [int(each["session_id"]) for each in taken if each["customer_id"] == f"c{customer}"]
        assert sessions == sorted(sessions)


def test_posts_that_are_none_are_refused_whole(http: httpx.Client, topic: Topic) -> None:
    many = {"interactions": [event() for _ in range(1001)]}
    headers = {"content-type": "application/json"}
    for answer, status, code in (
        (http.post("/interactions/bulk", json=many), 413, "too_many"),
        (http.post("/interactions/bulk", json=[event()]), 422, "not_object"),
        (http.post("/interactions/bulk", json={"interactions": event()}), 422, "wrong_type"),
        (http.post("/interactions/bulk", json={"events": [event()]}), 422, "missing_field"),
        (http.post("/interactions/bulk", content=b"", headers=headers), 422, "empty"),
        (http.post("/interactions/bulk", content=b'{"interactions": [{}', headers=headers), 422, "not_json"),
        (http.post("/interactions/bulk", content=b"[" * 100_000, headers=headers), 422, "not_json"),
        (http.post("/interactions", content=b'{"interactions":[]}'), 422, "missing_field"),
        (http.post("/interactions", content=b"x", headers={"content-type": "text/plain"}), 415,
         "unsupported_media_type"),
        (http.post("/interactions/bulk", content=b" " * 5_000_000, headers=headers), 413, "too_large"),
    ):  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    empty = http.post("/interactions/bulk", json={"interactions": []})
    assert (empty.status_code, empty.json()) == (202, {"accepted": 0, "rejected": []})
    http.post("/interactions", json=event(event_id="the last")).raise_for_status()
    assert [b"the last" in record.value() for record in until(topic.poll)] == [True]


def test_the_streams_refuse_the_same_for_the_same_reasons_and_answers_follow(
    gateway: RunningGateway, http: httpx.Client
) -> None:
    letters = Topic(gateway.settings, gateway.settings.topics.dead_letters.name)
    with streams_of(gateway):
        # What the gateway would not take, straight to Kafka, each under the key that its customer has or would have.
        for number, wrong in enumerate(BAD):
            customer = wrong.get("customer_id") if isinstance(wrong, dict) else None
            key = customer if isinstance(customer, str) else f"bad-{number}"
            gateway.send(gateway.settings.topics.interactions.name, encode(wrong), key)
        gateway.producer.flush(10)
        found = until(lambda: len(messages := letters.poll()) >= len(BAD) and messages)
        rejected = http.post("/interactions/bulk", json={"interactions": BAD}).json()["rejected"]
        by_value = {encode(wrong): each["reason"] for wrong, each in zip(BAD, rejected, strict=True)}
        told = [decode(each.value(), DeadLetter) for each in found]
        assert {letter.value or b"": letter.reason for letter in told} == by_value
        # What it takes is in the next answers.
        accepted = http.post("/interactions", json=event(customer_id="newcomer", type="purchase", price=1.25))
        assert accepted.status_code == 202

        def seen() -> Any:
            return http.get("/customers/newcomer/recommendations").json()["seen"]

        assert until(seen)["last_event_at"]
    letters.close()
