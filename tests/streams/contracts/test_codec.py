import datetime
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.contracts.codec import (
    LIMITS,
    decode,
    decode_customer,
    decode_interaction,
    decode_item,
    decode_request,
    encode,
    line_amount,
)
from streams.contracts.events import Customer, Interaction, InteractionType, Item, instant, microseconds
from streams.contracts.operations import BundleAnnouncement, DeadLetter, Reason, TrainingTrigger, TriggerReason
from streams.contracts.rejection import Rejected
from streams.contracts.requests import (
    FallbackReason,
    RecommendationRequest,
    RecommendedItem,
    Reply,
    ReplyError,
    Seen,
    ServedRecord,
    Source,
    Status,
)
from streams.sources.malformed import KINDS, malformed_records

ARRIVAL = 1_767_225_600_000_000  # 2026-01-01
GOOD: dict[str, Any] = {
    "event_id": "e1",
    "customer_id": "c1",
    "item_id": "i1",
    "type": "purchase",
    "timestamp": "2025-12-31T23:59:59.123456Z",
    "quantity": 2,
    "price": 1.25,
}


def rejected(value: bytes | None, **options: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode_interaction(value, ARRIVAL, **options)
    return caught.value


def with_fields(**changed: Any) -> bytes:
    return json.dumps({**GOOD, **changed}).encode()


# Round trips.

texts = st.text(max_size=20)
ids = st.text(min_size=1, max_size=128).filter(str.isprintable)
instants = st.integers(LIMITS.earliest, ARRIVAL + LIMITS.max_ahead)
attributes = st.dictionaries(texts, texts, max_size=4)
interactions = st.builds(
    Interaction,
    event_id=ids,
    customer_id=ids,
    item_id=ids,
    type=st.sampled_from([t for t in InteractionType if t is not InteractionType.RATING]),
    timestamp=st.one_of(instants.map(instant), instants.map(lambda at: at // 1000 + 1)).filter(
        lambda timestamp: microseconds(timestamp) <= ARRIVAL + LIMITS.max_ahead
    ),
    quantity=st.integers(1, 1000),
    price=st.none() | st.floats(0, 20_000),
    rating=st.none() | st.floats(LIMITS.min_rating, LIMITS.max_rating),
    session_id=st.none() | ids,
    context=attributes,
    recommendation_id=st.none() | ids,
)


@given(interactions)
def test_interaction_survives_the_wire(event: Interaction) -> None:
    decoded = decode_interaction(encode(event), ARRIVAL, key=event.customer_id.encode())
    assert decoded == event
    assert decoded.time == microseconds(event.timestamp)


@given(st.builds(Customer, customer_id=ids, attributes=attributes))
def test_customer_survives_the_wire(customer: Customer) -> None:
    assert decode_customer(encode(customer), key=customer.customer_id.encode()) == customer


@given(
    st.builds(
        Item,
        item_id=ids,
        name=texts,
        available=st.booleans(),
        price=st.none() | st.floats(0, LIMITS.max_price),
        attributes=attributes,
        description=texts,
    )
)
def test_item_survives_the_wire(item: Item) -> None:
    assert decode_item(encode(item), key=item.item_id.encode()) == item


scores = st.floats(allow_nan=False, allow_infinity=False)
requests = st.builds(
    RecommendationRequest,
    customer_id=ids,
    n=st.integers(1, 200),
    as_of=st.none() | instants.map(instant) | instants,
    context=attributes,
    exclude_items=st.lists(ids, max_size=3),
    exclude_purchased=st.booleans(),
    categories=st.lists(texts, max_size=3),
    deadline_ms=st.integers(1, 3_600_000),
    explain=st.booleans(),
    request_id=st.none() | ids,
)
recommended = st.builds(
    RecommendedItem,
    item_id=ids,
    score=scores,
    sources=st.lists(st.sampled_from(Source), unique=True),
    name=st.none() | texts,
    explanation=st.none() | st.dictionaries(texts, scores, max_size=2),
)
replies = st.builds(
    Reply,
    correlation_id=ids,
    recommendation_id=ids,
    customer_id=ids,
    status=st.sampled_from(Status),
    items=st.lists(recommended, max_size=3),
    reason=st.none() | st.sampled_from(FallbackReason).map(str),
    model_version=st.none() | st.integers(0, 10**6),
    as_of=st.none() | instants,
    seen=st.none() | st.builds(Seen, partition=st.integers(0, 9), offset=st.integers(0, 2**62)),
    error=st.none() | st.builds(ReplyError, code=ids, message=texts),
)
letters = st.builds(
    DeadLetter,
    reason=st.sampled_from(Reason),
    detail=texts,
    topic=ids,
    partition=st.integers(0, 9),
    offset=st.integers(0, 2**62),
    arrived_at=instants,
    rejected_at=instants,
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
)
served = st.builds(
    ServedRecord,
    recommendation_id=ids,
    correlation_id=ids,
    customer_id=ids,
    served_at=instants,
    request=requests,
    reply=replies,
)
counts = st.integers(0, 2**53)
triggers = st.builds(
    TrainingTrigger,
    trigger_id=ids,
    reason=st.sampled_from(TriggerReason),
    created_at=counts,
    interactions=counts,
    positions=st.dictionaries(ids, counts, max_size=3),
)
announcements = st.builds(
    BundleAnnouncement,
    version=counts,
    path=texts,
    manifest_sha256=texts,
    created_at=counts,
    parent=st.none() | counts,
    metrics=st.dictionaries(texts, scores, max_size=3),
)


@given(requests)
def test_request_survives_the_wire(request: RecommendationRequest) -> None:
    assert decode_request(encode(request)) == request


@settings(max_examples=200)
@given(replies | served | letters | triggers | announcements)
def test_messages_of_our_own_survive_the_wire(message: msgspec.Struct) -> None:
    assert decode(encode(message), type(message)) == message


# Whatever comes, either an event or a reason.


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_rejected_with_a_reason(value: bytes) -> None:
    assert rejected(value).reason in Reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(msgspec.structs.asdict(Interaction(**GOOD)))), json_values))
def test_any_value_in_any_field_is_decoded_or_rejected(changed: dict[str, Any]) -> None:
    try:
        event = decode_interaction(with_fields(**changed), ARRIVAL)
    except Rejected:
        return
    assert event.event_id.isprintable()
    assert LIMITS.earliest <= event.time <= ARRIVAL + LIMITS.max_ahead
    assert event.quantity >= 1
    assert -1 <= line_amount(event.price, event.quantity, 2) < 2**31


@pytest.mark.parametrize("reason", [reason for reason, _ in KINDS])
def test_each_malformed_kind_gets_its_true_reason(reason: Reason) -> None:
    records = [record for record in malformed_records(500, ARRIVAL, seed=3) if record.reason is reason]
    assert len(records) == 50
    for record in records:
        assert rejected(record.value, key=record.key).reason is reason


REASONS = [
    (None, Reason.EMPTY, "no value"),
    (b"", Reason.EMPTY, "no value"),
    (b"   ", Reason.NOT_JSON, "truncated"),
    (b'{"event_id": NaN}', Reason.NOT_JSON, "malformed"),
    (b"\xef\xbb\xbf{}", Reason.NOT_JSON, "malformed"),
    (b'{"a":' * 5000, Reason.NOT_JSON, "recursion"),
    (b"null", Reason.NOT_OBJECT, "None"),
    (b"{}", Reason.MISSING_FIELD, "'event_id'"),
    (with_fields(type=None), Reason.WRONG_TYPE, "'type'"),
    (with_fields(type=4), Reason.WRONG_TYPE, "'type'"),
    (with_fields(type="buy"), Reason.UNKNOWN_TYPE, "'buy'"),
    (with_fields(event_id=""), Reason.BAD_ID, "'event_id'"),
    (with_fields(customer_id=12), Reason.WRONG_TYPE, "'customer_id'"),
    (with_fields(customer_id="a\0"), Reason.BAD_ID, "'a\\x00'"),
    (with_fields(timestamp="yesterday"), Reason.BAD_TIMESTAMP, "'yesterday'"),
    (with_fields(timestamp="2025-12-31T23:59:59"), Reason.BAD_TIMESTAMP, "timezone"),
    (with_fields(timestamp=1.5), Reason.WRONG_TYPE, "1.5"),
    (with_fields(timestamp=True), Reason.WRONG_TYPE, "True"),
    (with_fields(timestamp=1_767_225_600), Reason.ABSURD_TIME, "1767225600"),
    (with_fields(timestamp="2026-01-02T00:00:01Z"), Reason.ABSURD_TIME, "86401 s after"),
    (with_fields(quantity=0), Reason.ABSURD_QUANTITY, "'quantity' is 0"),
    (with_fields(quantity=-2), Reason.ABSURD_QUANTITY, "-2"),
    (with_fields(quantity=10**30), Reason.ABSURD_QUANTITY, "at most"),
    (with_fields(quantity=1.5), Reason.WRONG_TYPE, "1.5"),
    (with_fields(price=-0.5), Reason.ABSURD_PRICE, "-0.5"),
    (with_fields(price="1.99"), Reason.WRONG_TYPE, "1.99"),
    (with_fields(price=2e6), Reason.ABSURD_PRICE, "2000000.0"),
    (with_fields(price=1e5, quantity=1000), Reason.ABSURD_PRICE, "minor units"),
    (with_fields(price=17).replace(b"17", b"1e999"), Reason.ABSURD_PRICE, "range"),
    (with_fields(type="rating"), Reason.MISSING_FIELD, "'rating'"),
    (with_fields(type="rating", rating=101), Reason.ABSURD_RATING, "101"),
    (with_fields(context={"store": 5}), Reason.WRONG_TYPE, "'context'"),
    (with_fields(context={str(i): "" for i in range(65)}), Reason.TOO_LARGE, "65 entries"),
    (with_fields(note="x" * 40_000), Reason.TOO_LARGE, "bytes"),
]


@pytest.mark.parametrize(("value", "reason", "told"), REASONS)
def test_reason_and_detail(value: bytes | None, reason: Reason, told: str) -> None:
    why = rejected(value)
    assert why.reason is reason
    assert told in why.detail


def test_of_several_reasons_the_most_basic_is_given() -> None:
    assert rejected(b'{"event_id": 5, "quantity": -1}').reason is Reason.MISSING_FIELD
    assert rejected(with_fields(quantity=-1, item_id=5)).reason is Reason.WRONG_TYPE


def test_key_must_be_the_customer() -> None:
    assert decode_interaction(with_fields(), ARRIVAL, key=b"c1").customer_id == "c1"
    assert rejected(with_fields(), key=b"c2").reason is Reason.KEY_MISMATCH
    with pytest.raises(Rejected, match="key_mismatch"):
        decode_item(b'{"item_id": "a"}', key=b"b")
    with pytest.raises(Rejected, match="key_mismatch"):
        decode_customer(b'{"customer_id": "a"}', key=b"b")


def test_defaults_and_unknown_fields() -> None:
    value = {**GOOD, "invented": {"by": "the shop"}}
    del value["quantity"], value["price"]
    event = decode_interaction(json.dumps(value).encode(), ARRIVAL)
    assert (event.quantity, event.price, event.context) == (1, None, {})


def test_milliseconds_and_rfc3339_mean_the_same_instant() -> None:
    moment = datetime.datetime(2025, 12, 31, 23, 0, 0, 250_000, tzinfo=datetime.UTC)
    milliseconds = decode_interaction(with_fields(timestamp=int(moment.timestamp() * 1000)), ARRIVAL)
    text = decode_interaction(with_fields(timestamp="2026-01-01T00:00:00.25+01:00"), ARRIVAL)
    assert milliseconds.time == text.time == 1_767_222_000_250_000
    assert instant(text.time) == moment


def test_a_future_event_is_measured_against_its_arrival() -> None:
    value = with_fields(timestamp="2026-01-01T20:00:00Z")
    assert decode_interaction(value, ARRIVAL)
    with pytest.raises(Rejected, match="absurd_time"):
        decode_interaction(value, ARRIVAL - 86_400_000_000)


@pytest.mark.parametrize(
    ("price", "quantity", "exponent", "amount"),
    [
        (None, 3, 2, -1),
        (0.0, 3, 2, 0),
        (1.25, 2, 2, 250),
        (20.06 / 8725, 8725, 2, 2006),
        (0.0508, 1, 4, 508),
        (120.0, 3, 0, 360),
    ],
)
def test_line_amount(price: float | None, quantity: int, exponent: int, amount: int) -> None:
    assert line_amount(price, quantity, exponent) == amount


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"customer_id": "c", "n": 0}', Reason.OUT_OF_RANGE),
        (b'{"customer_id": "c", "n": 201}', Reason.OUT_OF_RANGE),
        (b'{"customer_id": "c", "n": "9"}', Reason.WRONG_TYPE),
        (b'{"customer_id": "c", "deadline_ms": 0}', Reason.OUT_OF_RANGE),
        (b'{"customer_id": "c", "exclude_items": [1]}', Reason.WRONG_TYPE),
        (b'{"customer_id": "c", "as_of": "now"}', Reason.BAD_TIMESTAMP),
        (b'{"customer_id": "\\t"}', Reason.BAD_ID),
        (b'{"n": 3}', Reason.MISSING_FIELD),
        (b"", Reason.EMPTY),
    ],
)
def test_bad_request_says_why(value: bytes, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        decode_request(value)
    assert caught.value.reason is reason
