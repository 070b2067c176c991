"""Personalised recommendations of a customer."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import Field, StringConstraints

from serving.gateway.asking import answered, ordered, pairs
from serving.gateway.instants import AsOf
from serving.gateway.messages import RecommendationOrder
from serving.gateway.one_pass import OnePassRoute
from serving.gateway.problems import Problem, documented, rejected
from serving.gateway.record_answers import json_body
from serving.gateway.schemas import answers, takes
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.state import Deps
from streams.contracts.codec import decode
from streams.contracts.events import Id
from streams.contracts.rejection import Rejected
from streams.contracts.requests import RecommendationRequest, Reply

router = APIRouter(tags=["recommendations"], route_class=OnePassRoute)

CustomerId = Annotated[str, Path(min_length=1, max_length=128, description="As the shop knows the customer.")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class RecommendationQuery(pydantic.BaseModel):
    """What a GET may ask for, all of it checked at once: checking one parameter after the other takes twice as long."""

    n: Annotated[int, Field(ge=1, le=200, description="How many items.")] = 10
    categories: Annotated[
        list[Annotated[str, StringConstraints(max_length=128)]],
        Field(max_length=100, description="Only items of these categories; none given: all."),
    ] = []
    exclude_items: Annotated[
        list[Text], Field(max_length=1000, description="Items that must not be in the answer.")
    ] = []
    exclude_purchased: Annotated[bool, Field(description="Leave out what the customer bought before.")] = False
    diversity: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="How much an item counts for less that is like those before it.",
        ),
    ] = 0.0
    novelty: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="The share of the answer, at least, that the customer has never bought.",
        ),
    ] = 0.0
    explain: Annotated[bool, Field(description="Tell what is known of customer and item, for each item.")] = False
    as_of: AsOf = None
    context: Annotated[
        list[Annotated[str, StringConstraints(pattern="^[^:]+:", max_length=256)]],
        Field(max_length=64, description="Circumstances as `name:value`, such as `store:3`."),
    ] = []
    deadline_ms: Annotated[
        int, Field(ge=1, le=60_000, description="After so many milliseconds what is trending will do.")
    ] = 1000


TOO_LONG: dict[int | str, dict[str, Any]] = {
    400: {
        "description": "The URL is longer than 65,535 bytes: POST it.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
"""What the server says before any route is asked; nowhere else do so many texts fit into a query."""


@router.get(
    "/customers/{customer_id}/recommendations",
    summary="What should this customer see?",
    response_class=Response,
    responses=answers(Reply, "The answer; one that is not the full model's says why.")
    | TOO_LONG
    | documented(401, 403, 404, 429, 503),
)
async def recommend(
    customer_id: CustomerId,
    gateway: Deps,
    principal: Annotated[Principal, requires(Scope.RECOMMEND)],
    query: Annotated[RecommendationQuery, Query()],
) -> Response:
    """Answer from the newest features and the live model.

    There is always an answer: for a customer nobody knows, or without a model, it is what is trending, with status
    `fallback` and the reason.
    """
    printable(customer_id)
    await gateway.security.customer_limit(principal, customer_id)
    request = RecommendationRequest(
        customer_id=customer_id,
        n=query.n,
        as_of=None if query.as_of is None else query.as_of // 1000,
        context=pairs(query.context),
        exclude_items=query.exclude_items,
        exclude_purchased=query.exclude_purchased,
        categories=query.categories,
        deadline_ms=query.deadline_ms,
        diversity=query.diversity,
        novelty=query.novelty,
        explain=query.explain,
    )
    return await answered(gateway, request, query.as_of)


@router.post(
    "/customers/{customer_id}/recommendations",
    summary="What should this customer see? For long lists",
    response_class=Response,
    responses=answers(Reply, "The answer; one that is not the full model's says why.")
    | documented(401, 403, 404, 413, 415, 422, 429, 503),
    openapi_extra=takes(RecommendationOrder, RecommendationOrder(n=5, exclude_items=["995242", "1029743"])),
)
async def post_recommend(
    customer_id: CustomerId,
    request: Request,
    gateway: Deps,
    principal: Annotated[Principal, requires(Scope.RECOMMEND)],
) -> Response:
    """As the GET answers, with what is asked for in the body: a URL holds only so many items to leave out."""
    printable(customer_id)
    await gateway.security.customer_limit(principal, customer_id)
    try:
        order = decode(await json_body(request), RecommendationOrder)
    except Rejected as why:
        raise rejected(why) from None
    return await ordered(gateway, order, customer_id)


def printable(customer_id: Id) -> None:
    """Raise Problem 404 for an id that no customer can have."""
    if not customer_id.isprintable():
        raise Problem(404, "unknown_customer", f"no customer can have the id {customer_id!r}: ids are printable")
