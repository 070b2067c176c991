"""Records that must be rejected, of ten kinds, each with the reason it must get: for tests and demonstrations."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from streams.contracts.codec import LIMITS
from streams.contracts.operations import Reason


class Malformed(NamedTuple):
    """One bad record for topic `interactions` and the reason that its dead letter must give."""

    key: bytes
    value: bytes
    reason: Reason


def malformed_records(count: int, at: int, seed: int = 0) -> Iterator[Malformed]:
    """Yield so many bad records, the ten kinds in turn, no two alike.

    Parameters
    ----------
    at: microseconds since the epoch; the event time of records whose time is not what is wrong.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret
    for index in range(count):
        reason, spoil = KINDS[index % len(KINDS)]
        identity = f"malformed-{seed}-{index}"
        event: dict[str, Any] = {
            "event_id": identity,
            "customer_id": identity,
            "item_id": f"item-{rng.randrange(10**9)}",
            "type": "purchase",
            "timestamp": at // 1000,
            "quantity": rng.randint(1, 5),
            "price": rng.randint(1, 5000) / 100,
        }
        yield Malformed(identity.encode(), spoil(event, rng), reason)


def _truncated(event: dict[str, Any], rng: random.Random) -> bytes:
    whole = _json(event)
    return whole[: rng.randint(2, len(whole) - 2)]


def _not_utf8(event: dict[str, Any], rng: random.Random) -> bytes:
    return _json(event).replace(b"item-", b"caf" + bytes([rng.choice((0xC0, 0xE9, 0xFF))]) + b"-")


def _list(event: dict[str, Any], _: random.Random) -> bytes:
    return _json([event])


def _without_field(event: dict[str, Any], rng: random.Random) -> bytes:
    del event[rng.choice(("event_id", "customer_id", "item_id", "type", "timestamp"))]
    return _json(event)


def _wrong_type(event: dict[str, Any], rng: random.Random) -> bytes:
    wrong = {"item_id": 17, "quantity": "two", "price": "1.99", "timestamp": [2017, 1, 1], "context": "store 5"}
    field = rng.choice(tuple(wrong))
    return _json({**event, field: wrong[field]})


def _unknown_type(event: dict[str, Any], rng: random.Random) -> bytes:
    return _json({**event, "type": rng.choice(("buy", "Purchase", "wishlist", ""))})


def _bad_id(event: dict[str, Any], rng: random.Random) -> bytes:
    return _json({**event, "item_id": rng.choice(("", "x" * 129, "tab\there", "line\nbreak"))})


def _absurd_time(event: dict[str, Any], rng: random.Random) -> bytes:
    seconds_taken_for_milliseconds = event["timestamp"] // 1000
    return _json({**event, "timestamp": rng.choice((0, seconds_taken_for_milliseconds, 7_258_118_400_000, -1))})


def _absurd_price(event: dict[str, Any], rng: random.Random) -> bytes:
    return _json({**event, "price": rng.choice((-0.01, -3, 1e12))})


def _too_large(event: dict[str, Any], rng: random.Random) -> bytes:
    return _json({**event, "context": {"note": "x" * (LIMITS.max_bytes + rng.randint(1, 1000))}})


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


KINDS: tuple[tuple[Reason, Callable[[dict[str, Any], random.Random], bytes]], ...] = (
    (Reason.NOT_JSON, _truncated),
    (Reason.NOT_UTF8, _not_utf8),
    (Reason.NOT_OBJECT, _list),
    (Reason.MISSING_FIELD, _without_field),
    (Reason.WRONG_TYPE, _wrong_type),
    (Reason.UNKNOWN_TYPE, _unknown_type),
    (Reason.BAD_ID, _bad_id),
    (Reason.ABSURD_TIME, _absurd_time),
    (Reason.ABSURD_PRICE, _absurd_price),
    (Reason.TOO_LARGE, _too_large),
)
