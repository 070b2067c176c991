"""Records become requests or reasons; answered ones are recognised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.inbox import Address, Answered, Asked, Headers, Inbox, Position, Refused
from streams.contracts.operations import Reason

INBOX = Inbox("recommendations", ["recommendations", "shop-replies"], has_category=True)
AT = Position("recommendation-requests", 2, 17, 1_700_000_000_000)
GOOD = b'{"customer_id":"ann"}'


def asked(value: bytes, headers: Headers = None) -> Asked:
    found = INBOX.read(value, headers, AT)
    assert isinstance(found, Asked), found
    return found


def test_headers_win_over_the_body() -> None:
    body = b'{"customer_id":"ann","request_id":"b"}'
    assert asked(body).correlation_id == "b"
    found = asked(
        body, [("correlation_id", b"h"), ("reply_to", b"shop-replies-eu"), ("reply_partition", b"7"), ("x", None)]
    )
    assert (found.correlation_id, found.reply_to) == ("h", Address("shop-replies-eu", 7))


def test_without_any_id_the_answers_own_serves() -> None:
    first, again = asked(GOOD), asked(GOOD)
    assert first.correlation_id == first.recommendation_id == again.recommendation_id
    other = INBOX.read(GOOD, None, Position(AT.topic, 2, 18, AT.timestamp))
    assert other.recommendation_id != first.recommendation_id


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (b"", None, Reason.EMPTY),
        (b"{}", None, Reason.MISSING_FIELD),
        (GOOD, [("reply_to", b"interactions")], Reason.OUT_OF_RANGE),
        (GOOD, [("reply_partition", b"one")], Reason.OUT_OF_RANGE),
        (GOOD, [("reply_partition", "²".encode())], Reason.OUT_OF_RANGE),
        (GOOD, [("correlation_id", b"x" * 129)], Reason.BAD_ID),
        (b'{"customer_id":"ann","as_of":99999999999999}', None, Reason.ABSURD_TIME),
        (b'{"customer_id":"ann","deadline_ms":0}', None, Reason.OUT_OF_RANGE),
    ],
)
def test_what_is_wrong_is_said(value: bytes, headers: Headers, reason: Reason) -> None:
    found = INBOX.read(value, headers, AT)
    assert isinstance(found, Refused)
    assert found.why.reason is reason


def test_a_refused_reply_topic_is_not_written_to() -> None:
    found = INBOX.read(GOOD, [("correlation_id", b"c"), ("reply_to", b"interactions")], AT)
    assert isinstance(found, Refused)
    assert (found.reply_to, found.correlation_id) == (Address("recommendations"), "c")


def test_categories_need_a_shop_with_categories() -> None:
    found = Inbox("recommendations", ["r"], has_category=False).read(
        b'{"customer_id":"ann","categories":["tea"]}', None, AT
    )
    assert isinstance(found, Refused)
    assert "names no category" in found.why.detail


@given(st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=20), st.none() | st.binary(max_size=40))))
def test_no_record_breaks_it(value: bytes, headers: list[tuple[str, str | bytes | None]]) -> None:
    assert isinstance(INBOX.read(value, headers, AT), Asked | Refused)


@given(st.lists(st.sampled_from("abcdefgh")), st.integers(1, 8))
def test_the_last_ids_are_remembered(ids: list[str], size: int) -> None:
    answered = Answered(size)
    recent: list[str] = []
    for name in ids:
        assert answered.add(name) is (name not in recent)
        recent = [*(other for other in recent if other != name), name][-size:]
