"""From a request over HTTP to one that the service understands, and back."""

from __future__ import annotations

import time
import uuid

from fastapi.responses import Response

from serving.gateway import schemas
from serving.gateway.messages import RecommendationOrder
from serving.gateway.problems import Problem
from serving.gateway.state import Gateway
from serving.inbox import Address, Asked, Position
from serving.visitors import Visit
from streams.contracts.requests import RecommendationRequest, Status

ELSEWHERE = Address("")
"""The answer goes to no topic."""


async def answered(
    gateway: Gateway, request: RecommendationRequest, as_of: int | None, visit: Visit | None = None
) -> Response:
    """Have a request answered and return the reply.

    as_of: microseconds since the epoch, None for now. Raises Problem: 422 for categories in a shop without, 503 when
    too much is waiting, 500 where the program failed.
    """
    if request.categories and not gateway.engine.shop.category:
        raise Problem(422, "no_category", "categories are asked for, but the shop's profile names no category")
    recommendation_id = uuid.uuid4().hex[:24]
    asked = Asked(
        request=request,
        position=Position("", -1, -1, time.time() * 1000),
        reply_to=ELSEWHERE,
        correlation_id=request.request_id or recommendation_id,
        recommendation_id=recommendation_id,
        as_of=as_of,
        visit=visit,
    )
    answer = await (gateway.answering if as_of is None else gateway.aside).answer(asked)
    if answer.reply.status is Status.ERROR:
        raise Problem(500, "internal", "the service failed on this request; its log says why")
    return schemas.reply(answer.reply)


async def ordered(
    gateway: Gateway, order: RecommendationOrder, customer_id: str, visit: Visit | None = None
) -> Response:
    """Have an order answered that came as a body; raises as `answered`."""
    request = RecommendationRequest(
        customer_id=customer_id,
        n=order.n,
        as_of=order.as_of,
        context=order.context,
        exclude_items=order.exclude_items,
        exclude_purchased=order.exclude_purchased,
        categories=order.categories,
        deadline_ms=order.deadline_ms,
        diversity=order.diversity,
        novelty=order.novelty,
        explain=order.explain,
    )
    return await answered(gateway, request, None if order.as_of is None else order.as_of * 1000, visit)


def pairs(context: list[str]) -> dict[str, str]:
    """`name:value` texts as a dictionary."""
    return {name: value for name, _, value in (each.partition(":") for each in context)}
