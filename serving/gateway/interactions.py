"""Interactions: what customers did, one or many in a post."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response

from serving.gateway import problems, schemas
from serving.gateway.bulk import Receipt, envelope, records_in, sorted_out
from serving.gateway.idempotency import IdempotencyKey
from serving.gateway.problems import documented
from serving.gateway.record_answers import json_body
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.state import Deps
from serving.gateway.writing import Shared
from streams.contracts.codec import decode_interaction
from streams.contracts.events import Interaction
from streams.contracts.examples import INTERACTION
from streams.contracts.rejection import Rejected

router = APIRouter(tags=["interactions"])

Poster = Annotated[Principal, requires(Scope.INGEST, customer_tokens=True)]

_ENVELOPE = envelope("interactions")
_RESPONSES = schemas.answers(Receipt, "What Kafka has; features and answers follow within a second", 202)


class InteractionPost(msgspec.Struct, kw_only=True):
    """Many interactions, each judged by itself. Those of one customer keep their order."""

    interactions: list[Interaction]


@router.post(
    "/interactions",
    summary="Tell what a customer did",
    status_code=202,
    responses=_RESPONSES | documented(401, 403, 409, 413, 415, 422, 429, 503),
    openapi_extra=schemas.takes(Interaction, INTERACTION),
)
async def post_interaction(
    request: Request, deps: Deps, shared: Shared, principal: Poster, idempotency_key: IdempotencyKey = None
) -> Response:
    """The event is taken once Kafka has it. Sent again with the same `event_id` within two days it changes nothing."""
    body = await json_body(request)

    async def answer() -> Response:
        try:
            event = decode_interaction(body, _now(), shared.limits)
        except Rejected as why:
            raise problems.rejected(why) from None
        principal.may_act_for(event.customer_id)
        await deps.security.customer_limit(principal, event.customer_id)
        await shared.publish(deps.settings.topics.interactions, [(event.customer_id.encode(), body)])
        return schemas.reply(Receipt(accepted=1), 202)

    return await shared.idempotency.once(idempotency_key, principal.id, "/interactions", body, answer)


@router.post(
    "/interactions/bulk",
    summary="Tell what customers did",
    status_code=202,
    responses=_RESPONSES | documented(401, 403, 409, 413, 415, 422, 429, 503),
    openapi_extra=schemas.takes(InteractionPost, InteractionPost(interactions=[INTERACTION])),
)
async def post_interactions(
    request: Request, deps: Deps, shared: Shared, principal: Poster, idempotency_key: IdempotencyKey = None
) -> Response:
    """Events that are right are taken, the others told by their index, for the reasons that dead letters have."""
    body = await json_body(request)

    async def answer() -> Response:
        values = records_in(body, _ENVELOPE, deps.settings.gateway_max_bulk)
        arrival, limits = _now(), shared.limits
        events, rejections = sorted_out(values, lambda value: (decode_interaction(value, arrival, limits), value))
        if principal.customer_id is not None:
            for customer_id in {event.customer_id for event, _ in events}:
                principal.may_act_for(customer_id)
            await deps.security.customer_limit(principal, principal.customer_id)
        records = [(event.customer_id.encode(), value) for event, value in events]
        await shared.publish(deps.settings.topics.interactions, list(records))
        return schemas.reply(Receipt(accepted=len(records), rejected=rejections), 202)

    return await shared.idempotency.once(idempotency_key, principal.id, "/interactions/bulk", body, answer)


def _now() -> int:
    """Microseconds since the epoch: when what is posted now arrives."""
    return time.time_ns() // 1000
