"""Is the process alive, and can it do its work? Open to everybody: the answers tell nothing but that."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from serving.gateway.readiness import Liveness, Readiness
from serving.gateway.schemas import answers, reply
from serving.gateway.state import Deps

router = APIRouter(prefix="/health", tags=["health"])


@router.get(
    "/live",
    summary="Does the process run?",
    response_class=Response,
    responses=answers(Liveness, "Yes.") | answers(Liveness, "No; start it anew.", 503),
)
async def live(gateway: Deps) -> Response:
    """503 where the thread that answers is dead or has been at one batch for half a minute."""
    found = gateway.ready.alive()
    return reply(found, 200 if found.alive else 503)


@router.get(
    "/ready",
    summary="Can it do its work?",
    response_class=Response,
    responses=answers(Readiness, "Yes; what `degraded` names costs quality, not answers.")
    | answers(Readiness, "No; try another replica.", 503),
)
async def ready(gateway: Deps) -> Response:
    """Asks Kafka and Redis, looks after the threads that keep items current, and names the live model."""
    found = await gateway.ready.check()
    return reply(found, 200 if found.ready else 503)
