"""Recommendations for a visitor of whom nothing is known but this session."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serving.gateway.asking import ordered
from serving.gateway.messages import VisitEvent, VisitRequest
from serving.gateway.problems import documented, rejected
from serving.gateway.schemas import answers, takes
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.state import Deps
from serving.visitors import ANONYMOUS, Did
from streams.contracts.codec import decode
from streams.contracts.events import InteractionType
from streams.contracts.rejection import Rejected
from streams.contracts.requests import Reply

router = APIRouter(tags=["recommendations"])

EXAMPLE = VisitRequest(
    events=[
        VisitEvent(item_id="995242", type=InteractionType.VIEW),
        VisitEvent(item_id="1029743", type=InteractionType.ADD_TO_CART),
    ],
    n=5,
)


@router.post(
    "/sessions/recommendations",
    summary="What should this visitor see?",
    response_class=Response,
    responses=answers(Reply, "The answer; one that is not the full model's says why.")
    | documented(401, 403, 413, 422, 429, 503),
    openapi_extra=takes(VisitRequest, EXAMPLE),
)
async def recommend(request: Request, gateway: Deps, _: Annotated[Principal, requires(Scope.RECOMMEND)]) -> Response:
    """Answer as a customer would be answered who did just this; nothing is stored and nothing is published.

    Tell what the visitor did, oldest first: views and carts count, and so do purchases.
    """
    try:
        wanted = decode(await request.body(), VisitRequest)
    except Rejected as why:
        raise rejected(why) from None
    visit = tuple(
        Did(event.item_id, event.type, None if event.timestamp is None else event.timestamp * 1000, event.quantity)
        for event in wanted.events
    )
    return await ordered(gateway, wanted, ANONYMOUS, visit)
