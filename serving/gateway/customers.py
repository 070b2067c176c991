"""Customers as the shop knows them: listed, read, upserted, changed in part, erased; many upserted in a post."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Response

from feature_repo.record_store import Place
from serving.gateway import schemas
from serving.gateway.pagination import Cursor, Limit, from_cursor, to_cursor
from serving.gateway.problems import documented
from serving.gateway.record_routes import Collection, add_record_routes
from serving.gateway.record_writes import needed
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.writing import Shared
from streams.contracts.codec import decode_customer
from streams.contracts.events import Customer
from streams.contracts.examples import CUSTOMER

router = APIRouter(tags=["customers"])

CLERK = requires(Scope.CATALOGUE)

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
async def list_customers(
    shared: Shared, principal: Annotated[Principal, CLERK], cursor: Cursor = None, limit: Limit = 100
) -> Response:
    """Those with a record, in no order. A page may hold fewer than asked for or a few more: go on while there is a
    `next`. Who is there from the first page to the last is listed, and may be listed twice.
    """
    place = _START if cursor is None else from_cursor(cursor, tuple[_Natural, _Natural])
    with needed():
        page, left = await shared.threads.run(shared.store("customer").page, place, limit)
    customers = [msgspec.Raw(record) for _, record in page]
    return schemas.reply({"customers": customers, "next": None if left is None else to_cursor(left)})


add_record_routes(
    router,
    Collection(
        kind="customer",
        message=Customer,
        post=CustomerPost,
        decode=decode_customer,
        example=CUSTOMER,
        patch={"attributes": {"age": "55-64", "household_size": None}},
        reader=CLERK,
        writer=CLERK,
        reads="What the shop published of the customer. Who only ever bought something has no record.",
        deletes=(
            "Erase a customer",
            "The record goes at once; what the customer did is erased from every store in the order of the stream, "
            "also of a customer without a record.",
        ),
    ),
)
