"""Why an answer was as it was: who proposed each item, and what moved its score."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from serving.attribution import effects
from serving.engine import Engine
from serving.gateway.messages import ExplainedAnswer, Feature
from serving.gateway.problems import Problem, documented
from serving.gateway.schemas import answers, reply
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.state import Deps, Gateway
from serving.scorer import ScorerError
from streams.contracts.requests import ServedRecord

router = APIRouter(tags=["recommendations"])

MOST = 20
"""Items whose features are looked into: each costs the ranker as much as some dozens of candidates."""


@router.get(
    "/recommendations/{recommendation_id}",
    summary="Why this answer?",
    response_class=Response,
    responses=answers(ExplainedAnswer, "The answer, item by item.") | documented(401, 403, 404, 429, 503),
)
async def explain(
    recommendation_id: Annotated[str, Path(min_length=1, max_length=128, description="From the answer.")],
    gateway: Deps,
    _: Annotated[Principal, requires(Scope.RECOMMEND)],
    items: Annotated[int, Query(ge=0, le=MOST, description="For so many items: which features mattered.")] = 10,
    features: Annotated[int, Query(ge=1, le=50, description="So many features of each.")] = 5,
) -> Response:
    """Explain one of the newest answers, whoever gave it.

    The features are found by asking the live model again with each input in turn at its usual value, so only answers
    of the live model have them.
    """
    engine, record = gateway.engine, await found(gateway, recommendation_id)
    return reply(await gateway.aside.run(lambda: explained(engine, record, items, features)))


async def found(gateway: Gateway, recommendation_id: str) -> ServedRecord:
    """The record of an answer; raises Problem 404 where it is not among the newest ones.

    Who has answered a moment ago may not have recorded it yet: each thread is asked once it is done with that.
    """
    for thread in (gateway.answering, gateway.aside):
        record = await thread.run(lambda: gateway.served.find(recommendation_id))
        if record is not None:
            return record
    raise Problem(
        404, "unknown_recommendation", f"no answer {recommendation_id!r} among those of the last while; ask again"
    )


def explained(engine: Engine, record: ServedRecord, items: int, features: int) -> ExplainedAnswer:
    """The explanation of a recorded answer."""
    return ExplainedAnswer(
        recommendation_id=record.recommendation_id,
        correlation_id=record.correlation_id,
        customer_id=record.customer_id,
        served_at=record.served_at,
        request=record.request,
        reply=record.reply,
        mattered=_mattered(engine, record, items, features),
    )


def _mattered(engine: Engine, record: ServedRecord, items: int, features: int) -> list[list[Feature]] | None:
    """The features of the first items; None where the model that ranked them is gone or does not answer."""
    with engine.live.pinned() as model:
        if model is None or record.features is None or model.version != record.reply.model_version or not items:
            return None
        categorical = np.array(record.features.categorical[:items], np.int32)
        continuous = np.array(record.features.continuous[:items], np.float32)
        if not len(categorical):
            return None
        try:
            found = effects(
                model.encoder,
                categorical,
                continuous,
                lambda codes, numbers: engine.scorer.rank(model.version, codes, numbers),
                features,
            )
        except ScorerError:
            return None
    return [[Feature(**effect._asdict()) for effect in each] for each in found]
