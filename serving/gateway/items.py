"""Items of the catalogue: listed, searched, read, upserted, changed in part, deleted; many upserted in a post."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from serving.gateway import schemas
from serving.gateway.bulk import Receipt, envelope
from serving.gateway.etags import Preconditions, for_reads, for_writes
from serving.gateway.idempotency import IdempotencyKey
from serving.gateway.item_search import Search
from serving.gateway.pagination import Cursor, Limit, from_cursor, to_cursor
from serving.gateway.problems import documented
from serving.gateway.record_answers import (
    MERGE_PATCH,
    found,
    json_body,
    patches,
    puts,
    record_responses,
    waits,
    without_body,
    written,
)
from serving.gateway.record_writes import needed
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.state import Deps
from serving.gateway.writing import Shared
from streams.contracts.codec import decode_item
from streams.contracts.events import Item
from streams.contracts.examples import ITEM

router = APIRouter(tags=["items"])

Reader = Annotated[Principal, requires(Scope.RECOMMEND, Scope.CATALOGUE)]
Writer = Annotated[Principal, requires(Scope.CATALOGUE)]
Waits = Annotated[bool, Depends(waits)]
When = Annotated[Preconditions, Depends(for_writes)]

_ENVELOPE = envelope("items")
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
    principal: Reader,
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


@router.get(
    "/items/{item_id}",
    summary="Read an item",
    responses=record_responses(Item, {200: "The item; what has its default is left out"})
    | without_body({304: "The item at hand is the current one"})
    | documented(401, 403, 404, 422, 429, 503),
)
async def get_item(
    item_id: str, shared: Shared, principal: Reader, when: Annotated[Preconditions, Depends(for_reads)]
) -> Response:
    """As it was last published. Items called `popular` or `trending` are read by the list only."""
    return found(await shared.items.read(item_id), when)


@router.put(
    "/items/{item_id}",
    summary="Upsert an item",
    responses=record_responses(
        Item, {200: "Replaced", 201: "Made", 202: "In Kafka, but not readable yet: Redis or the streams are behind"}
    )
    | documented(401, 403, 409, 412, 413, 415, 422, 429, 503),
    openapi_extra=puts(Item, ITEM),
)
async def put_item(
    item_id: str, request: Request, shared: Shared, principal: Writer, when: When, wait: Waits
) -> Response:
    """The whole record; what is left out gets its default. `item_id` may be left out of the body."""
    return written(await shared.items.put(item_id, await json_body(request), when, wait=wait))


@router.patch(
    "/items/{item_id}",
    summary="Change an item in part",
    responses=record_responses(
        Item, {200: "Changed", 202: "In Kafka, but not readable yet: Redis or the streams are behind"}
    )
    | documented(401, 403, 404, 409, 412, 413, 415, 422, 429, 503),
    openapi_extra=patches(Item, {"available": False, "price": None, "attributes": {"brand": "Own"}}),
)
async def patch_item(
    item_id: str, request: Request, shared: Shared, principal: Writer, when: When, wait: Waits
) -> Response:
    """A JSON merge patch (RFC 7396): fields that are given are replaced, null resets one, attributes are merged."""
    return written(await shared.items.patch(item_id, await json_body(request, MERGE_PATCH), when, wait=wait))


@router.delete(
    "/items/{item_id}",
    summary="Delete an item",
    status_code=204,
    responses=without_body({202: "In Kafka, but still readable: Redis or the streams are behind"})
    | documented(401, 403, 409, 412, 422, 429, 503),
)
async def delete_item(item_id: str, shared: Shared, principal: Writer, when: When, wait: Waits) -> Response:
    """It is in no answer any more; what customers have bought stays in their histories. To hide one: `available`."""
    return written(await shared.items.delete(item_id, when, wait=wait))


@router.post(
    "/items/bulk",
    summary="Upsert items",
    status_code=202,
    responses=schemas.answers(Receipt, "What Kafka has; readable within a second", 202)
    | documented(401, 403, 409, 413, 415, 422, 429, 503),
    openapi_extra=schemas.takes(ItemPost, ItemPost(items=[ITEM])),
)
async def post_items(
    request: Request, deps: Deps, shared: Shared, principal: Writer, idempotency_key: IdempotencyKey = None
) -> Response:
    """Items that are right are taken, the others told by their index. Whatever is there is replaced."""
    body = await json_body(request)

    def check(value: bytes) -> tuple[bytes, bytes]:
        return decode_item(value, shared.limits).item_id.encode(), value

    return await shared.idempotency.once(
        idempotency_key, principal.id, "/items/bulk", body,
        lambda: shared.bulk(body, _ENVELOPE, deps.settings.topics.items, check),
    )  # fmt: skip
