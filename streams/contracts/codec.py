"""The one JSON codec: structs to bytes, bytes to checked structs, and why a record was rejected.

Decoding is typed and goes straight into the struct; only a record that fails is looked at again, to say why.
"""

from typing import Any, TypeVar

import msgspec

from streams.contracts.events import Customer, Interaction, InteractionType, Item
from streams.contracts.operations import Reason
from streams.contracts.rejection import Rejected, shown, why
from streams.contracts.requests import RecommendationRequest

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()
_INTERACTION = msgspec.json.Decoder(Interaction)
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {}
_MAX_AMOUNT = 2**31 - 1
_RATING = InteractionType.RATING

encode = _ENCODER.encode
"""Bytes of a message: compact JSON, fields in the struct's order, defaults left out."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What is believable.

    Attributes
    ----------
    max_bytes: of a record's value.
    earliest, max_ahead: event times lie between `earliest` and arrival + `max_ahead`; microseconds.
    max_price: of one unit, major units of the currency.
    max_entries: of `context` or `attributes`.
    currency_exponent: decimal digits of the minor unit, of which price * quantity must fit 31 bits.
    """

    max_bytes: int = 32_768
    earliest: int = 631_152_000_000_000  # 1990-01-01
    max_ahead: int = 86_400_000_000
    max_price: float = 1_000_000.0
    max_quantity: int = 1_000_000
    min_rating: float = 0.0
    max_rating: float = 100.0
    max_entries: int = 64
    currency_exponent: int = 2


LIMITS = Limits()


def line_amount(price: float | None, quantity: int, exponent: int) -> int:
    """Minor units of a line: price * quantity * 10**exponent, rounded half to even; -1 without a price."""
    if price is None:
        return -1
    return round(price * quantity * 10.0**exponent)


def decode_interaction(
    value: bytes | None, arrival: int, limits: Limits = LIMITS, *, key: bytes | None = None
) -> Interaction:
    """Decode and check one record of topic `interactions`.

    Parameters
    ----------
    value: the record's value.
    arrival: the record's Kafka timestamp (LogAppendTime) in microseconds since the epoch.
    key: the record's key, which must be the customer's id; None skips that check.

    Raises
    ------
    Rejected: with the reason; the record belongs in the dead letters.
    """
    if not value or len(value) > limits.max_bytes:
        raise _bad_size(value, limits)
    try:
        event = _INTERACTION.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise why(value, Interaction, error) from None
    customer_id = event.customer_id
    if not (event.event_id.isprintable() and customer_id.isprintable() and event.item_id.isprintable()):
        raise _bad_id(event, "event_id", "customer_id", "item_id")
    if not limits.earliest <= event.time <= arrival + limits.max_ahead:
        raise _absurd_time(event, arrival, limits)
    if event.price is not None or event.quantity != 1:
        _check_line(event, limits)
    if event.type is _RATING or event.rating is not None:
        _check_rating(event, limits)
    if len(event.context) > limits.max_entries:
        raise _too_many(f"context of event {event.event_id!r}", len(event.context), limits)
    if key is not None and key != customer_id.encode():
        raise _key_mismatch(key, "customer_id", customer_id)
    return event


def decode_customer(value: bytes | None, limits: Limits = LIMITS, *, key: bytes | None = None) -> Customer:
    """Decode and check one record of `customers`, no tombstone; `Rejected` tells what is wrong."""
    customer = decode(value, Customer, limits)
    if not customer.customer_id.isprintable():
        raise _bad_id(customer, "customer_id")
    if len(customer.attributes) > limits.max_entries:
        raise _too_many(f"attributes of customer {customer.customer_id!r}", len(customer.attributes), limits)
    if key is not None and key != customer.customer_id.encode():
        raise _key_mismatch(key, "customer_id", customer.customer_id)
    return customer


def decode_item(value: bytes | None, limits: Limits = LIMITS, *, key: bytes | None = None) -> Item:
    """Decode and check one record of `items`, no tombstone; `Rejected` tells what is wrong."""
    item = decode(value, Item, limits)
    if not item.item_id.isprintable():
        raise _bad_id(item, "item_id")
    if item.price is not None and item.price > limits.max_price:
        raise _absurd_price(f"item {item.item_id!r}", item.price, limits)
    if len(item.attributes) > limits.max_entries:
        raise _too_many(f"attributes of item {item.item_id!r}", len(item.attributes), limits)
    if key is not None and key != item.item_id.encode():
        raise _key_mismatch(key, "item_id", item.item_id)
    return item


def decode_request(value: bytes | None, limits: Limits = LIMITS) -> RecommendationRequest:
    """Decode and check one recommendation request; `Rejected` tells what is wrong."""
    request = decode(value, RecommendationRequest, limits)
    if not request.customer_id.isprintable():
        raise _bad_id(request, "customer_id")
    if len(request.context) > limits.max_entries:
        raise _too_many("context of the request", len(request.context), limits)
    return request


def decode(value: bytes | None, message: type[T], limits: Limits | None = None) -> T:
    """Decode any message; `Rejected` tells what is wrong with it. Without limits, any size is taken."""
    if not value or (limits is not None and len(value) > limits.max_bytes):
        raise _bad_size(value, limits or LIMITS)
    try:
        decoded: T = _decoder(message).decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise why(value, message, error) from None
    return decoded


def _decoder(message: type[T]) -> msgspec.json.Decoder[T]:
    """Decoders are costly to make and safe to share."""
    if message not in _DECODERS:
        _DECODERS[message] = msgspec.json.Decoder(message)
    return _DECODERS[message]


def _check_line(event: Interaction, limits: Limits) -> None:
    """Price and quantity, each by itself and their product."""
    name = f"event {event.event_id!r}"
    if event.quantity > limits.max_quantity:
        raise Rejected(
            Reason.ABSURD_QUANTITY,
            f"{name} has quantity {event.quantity}; at most {limits.max_quantity} is believed",
        )
    if event.price is not None and event.price > limits.max_price:
        raise _absurd_price(name, event.price, limits)
    if line_amount(event.price, event.quantity, limits.currency_exponent) > _MAX_AMOUNT:
        raise Rejected(
            Reason.ABSURD_PRICE,
            f"{name}: price {event.price} x quantity {event.quantity} is more than {_MAX_AMOUNT} minor units",
        )


def _check_rating(event: Interaction, limits: Limits) -> None:
    name = f"event {event.event_id!r}"
    if event.rating is None:
        raise Rejected(Reason.MISSING_FIELD, f"{name} has type 'rating' but no field 'rating'")
    if not limits.min_rating <= event.rating <= limits.max_rating:
        raise Rejected(
            Reason.ABSURD_RATING,
            f"{name} has rating {event.rating}; it must lie in {limits.min_rating} .. {limits.max_rating}",
        )


# The rest runs only for records that are rejected.


def _bad_size(value: bytes | None, limits: Limits) -> Rejected:
    if not value:
        return Rejected(Reason.EMPTY, "the record has no value")
    return Rejected(Reason.TOO_LARGE, f"the record has {len(value)} bytes; at most {limits.max_bytes} are taken")


def _bad_id(message: Any, *names: str) -> Rejected:
    name = next(name for name in names if not getattr(message, name).isprintable())
    return Rejected(Reason.BAD_ID, f"{name} {getattr(message, name)!r} must be 1 to 128 printable characters")


def _absurd_time(event: Interaction, arrival: int, limits: Limits) -> Rejected:
    detail = f"event {event.event_id!r} has timestamp {shown(event.timestamp)}"
    if event.time < limits.earliest:
        return Rejected(Reason.ABSURD_TIME, f"{detail}, before {limits.earliest // 1000} ms since 1970")
    ahead = (event.time - arrival) // 1_000_000
    return Rejected(
        Reason.ABSURD_TIME,
        f"{detail}, {ahead} s after its arrival; at most {limits.max_ahead // 1_000_000} s are believed",
    )


def _absurd_price(name: str, price: float, limits: Limits) -> Rejected:
    return Rejected(Reason.ABSURD_PRICE, f"{name} has price {price}; it must be between 0 and {limits.max_price}")


def _too_many(what: str, count: int, limits: Limits) -> Rejected:
    return Rejected(Reason.TOO_LARGE, f"{what} has {count} entries; at most {limits.max_entries} are taken")


def _key_mismatch(key: bytes, field: str, value: str) -> Rejected:
    return Rejected(
        Reason.KEY_MISMATCH,
        f"the record's key is {shown(key)} but its {field} is {shown(value)}; they must be equal",
    )
