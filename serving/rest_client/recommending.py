"""Calls that ask: personal recommendations, those of a visit, why, what is popular, what is similar."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from serving.gateway.messages import ExplainedAnswer, ItemList, RecommendationOrder, VisitRequest
from serving.rest_client.call import Call, answer, target
from serving.similar.answers import SimilarAnswer
from streams.contracts.codec import encode
from streams.contracts.events import Timestamp, microseconds
from streams.contracts.requests import Reply

LONGEST_URL = 8000
"""A call that would have a longer one is posted: proxies take little more."""


def recommendations(
    customer_id: str,
    *,
    n: int = 10,
    categories: Sequence[str] = (),
    exclude_items: Sequence[str] = (),
    exclude_purchased: bool = False,
    diversity: float = 0.0,
    novelty: float = 0.0,
    explain: bool = False,
    as_of: Timestamp | None = None,
    context: Mapping[str, str] | None = None,
    deadline_ms: int = 1000,
) -> Call[Reply]:
    """What should this customer see?

    Parameters
    ----------
    n
        How many items, 1 to 200.
    categories
        Only items of these categories; none means all.
    exclude_items, exclude_purchased
        Leave these items out; leave out what the customer has bought before.
    diversity
        0 to 1: how much an item counts for less, the more it is like those before it.
    novelty
        0 to 1: the share of the answer, at least, that the customer has never bought.
    explain
        Add to each item why it is there.
    as_of
        Answer as if it were this instant: a datetime with its zone, or milliseconds since the epoch.
    context
        Circumstances such as store, channel or device; an input of the model, recorded with the answer.
    deadline_ms
        Milliseconds after which what is trending will do.
    """
    query: list[tuple[str, Any]] = [
        ("n", n),
        ("categories", categories),
        ("exclude_items", exclude_items),
        ("exclude_purchased", exclude_purchased or None),
        ("diversity", diversity or None),
        ("novelty", novelty or None),
        ("explain", explain or None),
        ("as_of", _milliseconds(as_of)),
        ("context", context),
        ("deadline_ms", None if deadline_ms == 1000 else deadline_ms),
    ]
    where = target("customers", customer_id, "recommendations")
    url = target("customers", customer_id, "recommendations", query=query)
    if len(url) <= LONGEST_URL:
        return Call("GET", url, answer(Reply))
    order = RecommendationOrder(
        n=n,
        as_of=_milliseconds(as_of),
        context=dict(context or {}),
        exclude_items=list(exclude_items),
        exclude_purchased=exclude_purchased,
        categories=list(categories),
        diversity=diversity,
        novelty=novelty,
        explain=explain,
        deadline_ms=deadline_ms,
    )
    return Call("POST", where, answer(Reply), encode(order))


def session_recommendations(visit: VisitRequest) -> Call[Reply]:
    """What should a visitor see of whom nothing is known but what they did in this visit?"""
    return Call("POST", target("sessions", "recommendations"), answer(Reply), encode(visit))


def recommendation(recommendation_id: str, *, items: int = 10, features: int = 5) -> Call[ExplainedAnswer]:
    """Why an answer was as it was: who proposed each item, and for so many items so many features that mattered."""
    query = [("items", items), ("features", features)]
    return Call("GET", target("recommendations", recommendation_id, query=query), answer(ExplainedAnswer))


def popular(*, n: int = 10, category: str | None = None) -> Call[ItemList]:
    """What everybody buys in these weeks, or in one category."""
    return Call("GET", target("items", "popular", query=[("n", n), ("category", category)]), answer(ItemList))


def trending(*, n: int = 10, category: str | None = None) -> Call[ItemList]:
    """What everybody looks at in these hours, or in one category."""
    return Call("GET", target("items", "trending", query=[("n", n), ("category", category)]), answer(ItemList))


def similar(
    item_id: str,
    *,
    n: int = 10,
    category: str | None = None,
    available_only: bool = True,
    blend: float | None = None,
) -> Call[SimilarAnswer]:
    """Items like this one.

    Parameters
    ----------
    category
        Only items of this category; None means all.
    available_only
        Leave out what cannot be bought now.
    blend
        0 to 1: from what the items' texts say alone to what baskets say alone; default the gateway's.
    """
    query: list[tuple[str, Any]] = [
        ("n", n),
        ("category", category),
        ("available_only", None if available_only else False),
        ("blend", blend),
    ]
    return Call("GET", target("items", item_id, "similar", query=query), answer(SimilarAnswer))


def bought_together(item_id: str, *, n: int = 5) -> Call[SimilarAnswer]:
    """What is often in one basket with this item."""
    return Call("GET", target("items", item_id, "bought-together", query=[("n", n)]), answer(SimilarAnswer))


def _milliseconds(timestamp: Timestamp | None) -> int | None:
    return microseconds(timestamp) // 1000 if isinstance(timestamp, datetime.datetime) else timestamp
