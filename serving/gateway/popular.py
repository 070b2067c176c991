"""What everybody wants: bought much in the last weeks, or hot in the last hours."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from feature_repo.trends import slot_of
from serving.candidates import Rows
from serving.engine import Engine
from serving.filters import build
from serving.gateway.messages import ItemList, ListedItem
from serving.gateway.problems import Problem, documented
from serving.gateway.schemas import answers, reply
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.state import Deps
from serving.item_matrix import day_of

router = APIRouter(tags=["items"])

Count = Annotated[int, Query(ge=1, le=200, description="How many items.")]
Category = Annotated[str | None, Query(max_length=128, description="Only items of this category.")]
ANSWERS = answers(ItemList, "The most wanted first; fewer where there are fewer.") | documented(401, 403, 429, 503)
Caller = Annotated[Principal, requires(Scope.RECOMMEND)]


@router.get("/items/popular", summary="What sells", response_class=Response, responses=ANSWERS)
async def popular(gateway: Deps, _: Caller, n: Count = 10, category: Category = None) -> Response:
    """Items by their purchases of the last weeks, the newer the heavier."""
    engine = gateway.engine
    return reply(await gateway.answering.run(lambda: most_bought(engine, n, category)))


@router.get("/items/trending", summary="What is hot", response_class=Response, responses=ANSWERS)
async def trending(gateway: Deps, _: Caller, n: Count = 10, category: Category = None) -> Response:
    """Items by the attention of the last hours: views, carts and purchases by weight, the newer the heavier."""
    engine = gateway.engine
    return reply(await gateway.answering.run(lambda: hottest(engine, n, category)))


def most_bought(engine: Engine, n: int, category: str | None) -> ItemList:
    """The list at `engine`'s present instant; raises Problem 422 for a category in a shop without."""
    as_of = engine.service.default_as_of()
    found = engine.items.trending(day_of(as_of), exact=False)
    weights = found.weights
    rows = _first(engine, found.order, n, category)
    return ItemList(
        items=listed(engine, [(row, float(weights[row])) for row in rows if weights[row] > 0]), as_of=as_of // 1000
    )


def hottest(engine: Engine, n: int, category: str | None) -> ItemList:
    """The list at `engine`'s present instant; raises Problem 422 for a category in a shop without."""
    as_of = engine.service.default_as_of()
    found = engine.items.hot(slot_of(as_of), exact=False)
    rows = _first(engine, found.order, n, category)
    return ItemList(items=listed(engine, [(row, float(found.scores[row])) for row in rows]), as_of=as_of // 1000)


def listed(engine: Engine, scored: list[tuple[int, float]]) -> list[ListedItem]:
    """Catalogue rows and their scores, as people read them."""
    catalogue, category, unit = engine.items.catalogue, engine.shop.category, 10.0**engine.shop.currency_exponent
    codes = catalogue.attribute(category) if category else None
    prices = catalogue.price
    return [
        ListedItem(
            item_id=catalogue.item_ids[row],
            score=score,
            name=catalogue.names[row] or None,
            category=None if codes is None else catalogue.codes[category].values[codes[row]] or None,
            price=None if prices[row] < 0 else round(int(prices[row]) / unit, engine.shop.currency_exponent),
        )
        for row, score in scored
    ]


def _first(engine: Engine, order: Rows, n: int, category: str | None) -> list[int]:
    if category and not engine.shop.category:
        raise Problem(422, "no_category", "a category is asked for, but the shop's profile names none")
    wanted = build(engine.items.catalogue, engine.shop.category, categories=[category] if category else [])
    rows: list[int] = wanted.first(order, engine.items.catalogue, n).tolist()
    return rows
