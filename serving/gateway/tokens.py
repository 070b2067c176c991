"""Tokens with which a customer's browser may post that customer's events, and nothing else."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec import Meta

from serving.gateway.problems import Problem, documented, rejected
from serving.gateway.record_answers import json_body
from serving.gateway.schemas import answers, reply, takes
from serving.gateway.security.attestation import DEFAULT_S, LONGEST_S
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.state import Deps
from streams.contracts.codec import decode
from streams.contracts.events import Id
from streams.contracts.operations import Reason
from streams.contracts.rejection import Rejected

router = APIRouter(tags=["tokens"])


class TokenOrder(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Whose events the token is to let in, and for how many seconds."""

    customer_id: Id
    ttl_s: Annotated[int, Meta(ge=1, le=LONGEST_S)] = DEFAULT_S


class CustomerToken(msgspec.Struct, kw_only=True):
    """A token for a browser: `Authorization: Bearer <token>`; `expires_at` in milliseconds since the epoch."""

    token: str
    customer_id: str
    expires_at: int


@router.post(
    "/tokens",
    summary="Let a customer's browser post events",
    status_code=201,
    response_class=Response,
    responses=answers(CustomerToken, "The token; it ends by itself, or with the key that asked for it", 201)
    | documented(401, 403, 404, 413, 415, 422, 429, 503),
    openapi_extra=takes(TokenOrder, TokenOrder(customer_id="1842")),
)
async def post_token(
    request: Request, gateway: Deps, principal: Annotated[Principal, requires(Scope.INGEST)]
) -> Response:
    """For the shop's server, which knows who is logged in: ask for a token, give it to the page. The page may then post
    to `/interactions` and `/interactions/bulk`, for this customer only.
    """
    attestation = gateway.security.attestation
    if attestation is None:
        raise Problem(404, "no_tokens", "this gateway makes no tokens; its operator has set no secret to sign them")
    try:
        order = decode(await json_body(request), TokenOrder)
        if not order.customer_id.isprintable():
            raise Rejected(Reason.BAD_ID, f"customer_id {order.customer_id!r} must be 1 to 128 printable characters")
    except Rejected as why:
        raise rejected(why) from None
    request.state.about = order.customer_id  # for the audit log
    token, expires_at = attestation.token(order.customer_id, order.ttl_s, principal.id)
    return reply(CustomerToken(token=token, customer_id=order.customer_id, expires_at=expires_at * 1000), 201)
