"""Items like an item, and items bought with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from serving.gateway.problems import Problem, documented
from serving.gateway.schemas import answers, reply
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.state import Deps
from serving.similar.answers import NoCategoryError, SimilarAnswer, UnknownItemError
from serving.similar.similar_items import BLEND, MOST, SimilarItems

router = APIRouter(tags=["similar items"])

ItemId = Annotated[str, Path(min_length=1, max_length=128, description="The item asked about.")]
Count = Annotated[int, Query(ge=1, le=MOST, description="How many items.")]
Caller = Annotated[Principal, requires(Scope.RECOMMEND)]
_PROBLEMS = documented(401, 403, 404, 422, 429, 503)


@router.get(
    "/items/{item_id}/similar",
    summary="Items like an item, by what their texts say and by what baskets show",
    response_class=Response,
    responses={**answers(SimilarAnswer, "The items, best first."), **_PROBLEMS},
)
async def similar(
    item_id: ItemId,
    deps: Deps,
    _: Caller,
    n: Count = 10,
    category: Annotated[str | None, Query(max_length=128, description="Only items of this category.")] = None,
    available_only: Annotated[bool, Query(description="Leave out what the shop keeps hidden.")] = True,
    blend: Annotated[
        float, Query(ge=0, le=1, allow_inf_nan=False, description="0: by text alone; 1: by baskets alone.")
    ] = BLEND,
) -> Response:
    """What to show on a product page beside the product: of the same kind, or taken in its place."""
    found = _engine(deps.similar)
    try:
        items = found.similar(item_id, n, category=category, available_only=available_only, blend=blend)
    except UnknownItemError as error:
        raise Problem(404, "unknown_item", str(error)) from error
    except NoCategoryError as error:
        raise Problem(422, "no_category", str(error)) from error
    return reply(SimilarAnswer(item_id=item_id, items=items))


@router.get(
    "/items/{item_id}/bought-together",
    summary="Items that share baskets with an item more often than chance explains",
    response_class=Response,
    responses={**answers(SimilarAnswer, "The items, best first; none where there is no evidence."), **_PROBLEMS},
)
async def bought_together(item_id: ItemId, deps: Deps, _: Caller, n: Count = 5) -> Response:
    """What goes with a product: "frequently bought together"."""
    found = _engine(deps.similar)
    try:
        items = found.bought_together(item_id, n)
    except UnknownItemError as error:
        raise Problem(404, "unknown_item", str(error)) from error
    return reply(SimilarAnswer(item_id=item_id, items=items))


def _engine(similar: SimilarItems | None) -> SimilarItems:
    if similar is None:
        raise Problem(
            503, "unavailable", "this gateway was started without similar items", headers={"Retry-After": "60"}
        )
    return similar
