"""What a shop publishes: interactions, customers and items.

The structs below are the wire format: one JSON object a record, field names as here, unknown fields ignored.
`streams.contracts.codec` decodes and checks them; `docs/events.md` explains them to the shop's engineer.
"""

import datetime
import enum
from typing import Annotated

import msgspec
from msgspec import Meta

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

Id = Annotated[str, Meta(min_length=1, max_length=128)]
"""Identifier: 1 to 128 printable characters. Always a string, also where the shop's own ids are numbers."""

Timestamp = Annotated[datetime.datetime, Meta(tz=True)] | int
"""An instant on the wire: an RFC 3339 string with its zone, or whole milliseconds since 1970 (UTC)."""


class InteractionType(enum.StrEnum):
    """What a customer did with an item."""

    IMPRESSION = "impression"
    VIEW = "view"
    CLICK = "click"
    ADD_TO_CART = "add_to_cart"
    REMOVE_FROM_CART = "remove_from_cart"
    PURCHASE = "purchase"
    RETURN = "return"
    RATING = "rating"


def microseconds(timestamp: datetime.datetime | int) -> int:
    """Microseconds since the epoch (UTC) of a wire timestamp; an integer is taken as milliseconds."""
    if isinstance(timestamp, int):
        return timestamp * 1000
    since = timestamp - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant(at: int) -> datetime.datetime:
    """The UTC datetime of `at` microseconds since the epoch; encodes as an RFC 3339 string ending in Z."""
    return EPOCH + datetime.timedelta(microseconds=at)


class Interaction(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that one customer did with one item. Topic `interactions`, keyed by `customer_id`.

    Attributes
    ----------
    event_id: unique over all time; a second record with the same id within 48 hours changes nothing.
    timestamp: when it happened, by the shop's clock.
    quantity: whole units, at least 1, also for a return (`type` says which way they went).
    price: of one unit, in major units (euros, not cents); absent when unknown.
    rating: needed by type `rating`; higher is better.
    context: circumstances such as store, channel or device; an input of the model.
    recommendation_id: the answer that led here, copied from the reply.
    """

    event_id: Id
    customer_id: Id
    item_id: Id
    type: InteractionType
    timestamp: Timestamp
    quantity: Annotated[int, Meta(ge=1)] = 1
    price: Annotated[float, Meta(ge=0)] | None = None
    rating: float | None = None
    session_id: Id | None = None
    context: dict[str, str] = {}
    recommendation_id: Id | None = None

    @property
    def time(self) -> int:
        """Event time in microseconds since the epoch."""
        return microseconds(self.timestamp)


class Customer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A customer as the shop knows it; the latest record wins. Topic `customers`, keyed by `customer_id`.

    A record with an empty value (tombstone) deletes the customer and what is remembered of it.
    """

    customer_id: Id
    attributes: dict[str, str] = {}


class Item(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An item of the catalogue; the latest record wins. Topic `items`, keyed by `item_id`.

    A record with an empty value (tombstone) deletes the item; `available=False` only hides it.

    Attributes
    ----------
    name: what a person reads.
    price: of one unit, in major units; absent when unknown.
    attributes: such as department, brand, colour; which of them are features is said by the shop's profile.
    description: free text for people and for text models.
    """

    item_id: Id
    name: str = ""
    available: bool = True
    price: Annotated[float, Meta(ge=0)] | None = None
    attributes: dict[str, str] = {}
    description: str = ""
