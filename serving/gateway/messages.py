"""What the recommendation routes take and answer with, beside the messages that Kafka has too."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from streams.contracts.events import Id, InteractionType
from streams.contracts.requests import RecommendationRequest, Reply

LATEST_MS = 7_258_118_400_000
"""The year 2200: the latest instant that may be asked about."""

Instant = Annotated[int, Meta(ge=0, le=LATEST_MS)]
"""Milliseconds since the epoch."""


class VisitEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that a visitor did.

    Attributes
    ----------
    timestamp: milliseconds since the epoch; without it only the order of the events counts.
    """

    item_id: Id
    type: InteractionType
    timestamp: Instant | None = None
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class RecommendationOrder(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What an answer should be like; as in the query of a GET, but as long as it takes.

    Attributes
    ----------
    n: how many items, 1 to 200.
    as_of: answer as if it were this instant, milliseconds since the epoch; default now.
    """

    n: Annotated[int, Meta(ge=1, le=200)] = 10
    as_of: Instant | None = None
    context: Annotated[dict[str, str], Meta(max_length=64)] = {}
    exclude_items: Annotated[list[Id], Meta(max_length=1000)] = []
    exclude_purchased: bool = False
    categories: Annotated[list[str], Meta(max_length=100)] = []
    diversity: Annotated[float, Meta(ge=0, le=1)] = 0.0
    novelty: Annotated[float, Meta(ge=0, le=1)] = 0.0
    explain: bool = False
    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] = 1000


class VisitRequest(RecommendationOrder, kw_only=True, omit_defaults=True):
    """What should this visitor see, of whom nothing is known but what was done in this session?

    Attributes
    ----------
    events: oldest first.
    """

    events: Annotated[list[VisitEvent], Meta(max_length=200)]


class ListedItem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An item of a list that is the same for everybody.

    Attributes
    ----------
    score: orders the list; purchases weighted by age, or interactions of the last hours weighted by kind and age.
    category: the attribute that the shop's profile calls its category.
    price: of one unit, in major units; absent when unknown.
    """

    item_id: str
    score: float
    name: str | None = None
    category: str | None = None
    price: float | None = None


class ItemList(msgspec.Struct, kw_only=True):
    """Items, the most wanted first; `as_of` in milliseconds since the epoch."""

    items: list[ListedItem]
    as_of: int


class Feature(msgspec.Struct, kw_only=True, frozen=True):
    """An input of the model, what it was for one item of an answer, and what it did to the item's score.

    Attributes
    ----------
    group: customer, item, pair (of both) or request.
    value: before encoding; null where there was none, or one that the model does not know.
    contribution: the score less the score with this input at its usual value.
    """

    name: str
    group: str
    value: float | str | None
    contribution: float


class ExplainedAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An answer as it was given, and why it was so.

    The reply tells who proposed each item, and with `explain` what is known of customer and item.

    Attributes
    ----------
    served_at: milliseconds since the epoch.
    request: as it was understood.
    mattered: for the first items, in the order of the answer, the inputs that moved their scores, the strongest first;
        absent where the model that ranked the answer is not live any more, or where it was not asked.
    """

    recommendation_id: str
    correlation_id: str
    customer_id: str
    served_at: int
    request: RecommendationRequest
    reply: Reply
    mattered: list[list[Feature]] | None = None
