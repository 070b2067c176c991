"""Customers as the shop knows them: listed, read, upserted, changed in part, erased; many upserted in a post."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from feature_repo.record_store import Place
from serving.gateway import schemas
from serving.gateway.bulk import Receipt, envelope
from serving.gateway.etags import Preconditions, for_reads, for_writes
from serving.gateway.idempotency import IdempotencyKey
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
from streams.contracts.codec import decode_customer
from streams.contracts.events import Customer
from streams.contracts.examples import CUSTOMER

router = APIRouter(tags=["customers"])

Clerk = Annotated[Principal, requires(Scope.CATALOGUE)]
Waits = Annotated[bool, Depends(waits)]
When = Annotated[Preconditions, Depends(for_writes)]

_ENVELOPE = envelope("customers")
_START: Place = (0, 0)
_Natural = Annotated[int, msgspec.Meta(ge=0)]


class CustomerPost(msgspec.Struct, kw_only=True):
    """Many customers, each judged by itself."""

    customers: list[Customer]


class CustomerPage(msgspec.Struct, kw_only=True):
    """Some customers, in no order, and the cursor of the next page, null after the last."""

    customers: list[Customer]
    next: str | None


@router.get(
    "/customers",
    summary="List customers",
    responses=schemas.answers(CustomerPage, "A page of customers") | documented(401, 403, 422, 429, 503),
)
async def list_customers(shared: Shared, principal: Clerk, cursor: Cursor = None, limit: Limit = 100) -> Response:
    """Those with a record, in no order. A page may hold fewer than asked for or a few more: go on while there is a
    `next`. Who is there from the first page to the last is listed, and may be listed twice.
    """
    place = _START if cursor is None else from_cursor(cursor, tuple[_Natural, _Natural])
    with needed():
        page, left = await shared.threads.run(shared.store("customer").page, place, limit)
    customers = [msgspec.Raw(record) for _, record in page]
    return schemas.reply({"customers": customers, "next": None if left is None else to_cursor(left)})


@router.get(
    "/customers/{customer_id}",
    summary="Read a customer",
    responses=record_responses(Customer, {200: "The customer's record; what has its default is left out"})
    | without_body({304: "The record at hand is the current one"})
    | documented(401, 403, 404, 422, 429, 503),
)
async def get_customer(
    customer_id: str, shared: Shared, principal: Clerk, when: Annotated[Preconditions, Depends(for_reads)]
) -> Response:
    """What the shop published of the customer. Who only ever bought something has no record."""
    return found(await shared.customers.read(customer_id), when)


@router.put(
    "/customers/{customer_id}",
    summary="Upsert a customer",
    responses=record_responses(
        Customer, {200: "Replaced", 201: "Made", 202: "In Kafka, but not readable yet: Redis or the streams are behind"}
    )
    | documented(401, 403, 409, 412, 413, 415, 422, 429, 503),
    openapi_extra=puts(Customer, CUSTOMER),
)
async def put_customer(
    customer_id: str, request: Request, shared: Shared, principal: Clerk, when: When, wait: Waits
) -> Response:
    """The whole record; what is left out gets its default. `customer_id` may be left out of the body."""
    return written(await shared.customers.put(customer_id, await json_body(request), when, wait=wait))


@router.patch(
    "/customers/{customer_id}",
    summary="Change a customer in part",
    responses=record_responses(
        Customer, {200: "Changed", 202: "In Kafka, but not readable yet: Redis or the streams are behind"}
    )
    | documented(401, 403, 404, 409, 412, 413, 415, 422, 429, 503),
    openapi_extra=patches(Customer, {"attributes": {"age": "55-64", "household_size": None}}),
)
async def patch_customer(
    customer_id: str, request: Request, shared: Shared, principal: Clerk, when: When, wait: Waits
) -> Response:
    """A JSON merge patch (RFC 7396): attributes that are given are set, null removes one, the others stay."""
    return written(await shared.customers.patch(customer_id, await json_body(request, MERGE_PATCH), when, wait=wait))


@router.delete(
    "/customers/{customer_id}",
    summary="Erase a customer",
    status_code=204,
    responses=without_body({202: "In Kafka, but still readable: Redis or the streams are behind"})
    | documented(401, 403, 409, 412, 422, 429, 503),
)
async def delete_customer(customer_id: str, shared: Shared, principal: Clerk, when: When, wait: Waits) -> Response:
    """The record goes at once; what the customer did is erased from every store in the order of the stream, also of a
    customer without a record.
    """
    return written(await shared.customers.delete(customer_id, when, wait=wait))


@router.post(
    "/customers/bulk",
    summary="Upsert customers",
    status_code=202,
    responses=schemas.answers(Receipt, "What Kafka has; readable within a second", 202)
    | documented(401, 403, 409, 413, 415, 422, 429, 503),
    openapi_extra=schemas.takes(CustomerPost, CustomerPost(customers=[CUSTOMER])),
)
async def post_customers(
    request: Request, deps: Deps, shared: Shared, principal: Clerk, idempotency_key: IdempotencyKey = None
) -> Response:
    """Customers that are right are taken, the others told by their index. Whatever is there is replaced."""
    body = await json_body(request)

    def check(value: bytes) -> tuple[bytes, bytes]:
        return decode_customer(value, shared.limits).customer_id.encode(), value

    return await shared.idempotency.once(
        idempotency_key, principal.id, "/customers/bulk", body,
        lambda: shared.bulk(body, _ENVELOPE, deps.settings.topics.customers, check),
    )  # fmt: skip
