"""Items of the catalogue: listed, searched, read, upserted, changed in part, deleted; many upserted in a post."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response

from serving.gateway import schemas
from serving.gateway.item_search import Search
from serving.gateway.pagination import Cursor, Limit, from_cursor, to_cursor
from serving.gateway.problems import documented
from serving.gateway.record_routes import Collection, add_record_routes
from serving.gateway.record_writes import needed
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.writing import Shared
from streams.contracts.codec import decode_item
from streams.contracts.events import Item
from streams.contracts.examples import ITEM

router = APIRouter(tags=["items"])

READER = requires(Scope.RECOMMEND, Scope.CATALOGUE)

_LOOKS = 20
"""How often a page is filled up: events may name items of which there is no record."""


class ItemPost(msgspec.Struct, kw_only=True):
    """Many items, each judged by itself."""

    items: list[Item]


class ItemPage(msgspec.Struct, kw_only=True):
    """Items in the order of their ids, and the cursor of the next page, null after the last."""

    items: list[Item]
    next: str | None


@router.get(
    "/items",
    summary="Browse and search the catalogue",
    responses=schemas.answers(ItemPage, "A page of items") | documented(401, 403, 422, 429, 503),
)
async def list_items(
    shared: Shared,
    principal: Annotated[Principal, READER],
    query: Annotated[
        str,
        Query(max_length=200, description="Words that must all be in the name or the shop's attributes; or an id"),
    ] = "",
    category: Annotated[str | None, Query(max_length=200, description="Only items of this category")] = None,
    available: Annotated[bool | None, Query(description="Only items that may be recommended, or that may not")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """In the order of ids. What was written a moment ago may be missing for another moment."""
    wanted = Search(query, category, available)
    after = None if cursor is None else from_cursor(cursor, str)
    items: list[msgspec.Raw] = []
    for _ in range(_LOOKS):
        count = limit - len(items)
        ids = await shared.threads.run(shared.search.find, wanted, after, count)
        with needed():
            records = await shared.threads.run(shared.store("item").get, ids)
        items += [msgspec.Raw(record) for record in records if record is not None]
        after = ids[-1] if len(ids) == count else None
        if after is None or len(items) == limit:
            break
    return schemas.reply({"items": items, "next": None if after is None else to_cursor(after)})


add_record_routes(
    router,
    Collection(
        kind="item",
        message=Item,
        post=ItemPost,
        decode=decode_item,
        example=ITEM,
        patch={"available": False, "price": None, "attributes": {"brand": "Own"}},
        reader=READER,
        writer=requires(Scope.CATALOGUE),
        reads="As it was last published. Under `popular` and `trending` are the lists of that name: items called so "
        "are found by `GET /items?query=popular`; they are written and deleted like any other.",
        deletes=(
            "Delete an item",
            "It is in no answer any more; what customers have bought stays in their histories. To hide one: "
            "`available`.",
        ),
    ),
)
