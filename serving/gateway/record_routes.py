"""The routes that customers and items have in common: a record read, upserted, changed in part, deleted; many upserted.

What differs is said by a `Collection`; lists have too little in common, and stay with each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from feature_repo.record_store import Kind
from serving.gateway import schemas
from serving.gateway.bulk import Receipt, envelope
from serving.gateway.etags import Preconditions, for_reads, for_writes
from serving.gateway.idempotency import IdempotencyKey
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
from serving.gateway.security.principal import Principal
from serving.gateway.state import Deps
from serving.gateway.writing import Shared
from streams.contracts.codec import Limits

Waits = Annotated[bool, Depends(waits)]
Unless = Annotated[Preconditions, Depends(for_reads)]
When = Annotated[Preconditions, Depends(for_writes)]

BEHIND = "In Kafka, but {} readable{}: Redis or the streams are behind"


@dataclass(frozen=True)
class Collection:
    """Records of one kind, as the API tells of them.

    Attributes
    ----------
    kind
        What one is called; its id is ``<kind>_id``, the collection's path ``/<kind>s``.
    message, post
        The struct of a record, and that of a post of many.
    decode
        Checks a record as JSON; raises `Rejected`.
    example, patch
        A record, and a merge patch.
    reader, writer
        Who may, from `requires`.
    reads
        What there is to say of a record that is read.
    deletes
        What deleting is called, and what it does.
    """

    kind: Kind
    message: type
    post: type[Any]
    decode: Callable[[bytes, Limits], Any]
    example: Any
    patch: dict[str, Any]
    reader: Any
    writer: Any
    reads: str
    deletes: tuple[str, str]


def add_record_routes(router: APIRouter, of: Collection) -> None:
    """Add them, the one for many last."""
    _add_reading(router, of)
    _add_writing(router, of)
    _add_bulk(router, of)


def _add_reading(router: APIRouter, of: Collection) -> None:
    @router.get(
        _one(of),
        name=f"get_{of.kind}",
        summary=f"Read {_a(of)}",
        description=of.reads,
        responses=record_responses(of.message, {200: "The record; what has its default is left out"})
        | without_body({304: "The record at hand is the current one"})
        | documented(401, 403, 404, 422, 429, 503),
    )
    async def read(shared: Shared, when: Unless, name: str = _named(of), principal: Principal = of.reader) -> Response:
        return found(await shared.writes(of.kind).read(name), when)


def _add_writing(router: APIRouter, of: Collection) -> None:
    @router.put(
        _one(of),
        name=f"put_{of.kind}",
        summary=f"Upsert {_a(of)}",
        description=f"The whole record; what is left out gets its default. `{of.kind}_id` may be left out of the body.",
        responses=record_responses(of.message, {200: "Replaced", 201: "Made", 202: BEHIND.format("not", " yet")})
        | documented(401, 403, 409, 412, 413, 415, 422, 429, 503),
        openapi_extra=puts(of.message, of.example),
    )
    async def put(
        request: Request, shared: Shared, when: When, wait: Waits,
        name: str = _named(of), principal: Principal = of.writer,
    ) -> Response:  # fmt: skip
        return written(await shared.writes(of.kind).put(name, await json_body(request), when, wait=wait))

    @router.patch(
        _one(of),
        name=f"patch_{of.kind}",
        summary=f"Change {_a(of)} in part",
        description="A JSON merge patch (RFC 7396): fields that are given are replaced, null resets one, attributes "
        "are merged.",
        responses=record_responses(of.message, {200: "Changed", 202: BEHIND.format("not", " yet")})
        | documented(401, 403, 404, 409, 412, 413, 415, 422, 429, 503),
        openapi_extra=patches(of.message, of.patch),
    )
    async def patch(
        request: Request, shared: Shared, when: When, wait: Waits,
        name: str = _named(of), principal: Principal = of.writer,
    ) -> Response:  # fmt: skip
        body = await json_body(request, MERGE_PATCH)
        return written(await shared.writes(of.kind).patch(name, body, when, wait=wait))

    summary, description = of.deletes

    @router.delete(
        _one(of),
        name=f"delete_{of.kind}",
        summary=summary,
        description=description,
        status_code=204,
        responses=without_body({202: BEHIND.format("still", "")}) | documented(401, 403, 409, 412, 422, 429, 503),
    )
    async def delete(
        shared: Shared, when: When, wait: Waits, name: str = _named(of), principal: Principal = of.writer
    ) -> Response:
        return written(await shared.writes(of.kind).delete(name, when, wait=wait))


def _add_bulk(router: APIRouter, of: Collection) -> None:
    path, many = f"/{of.kind}s/bulk", f"{of.kind}s"
    post_envelope = envelope(many)

    @router.post(
        path,
        name=f"post_{many}",
        summary=f"Upsert {many}",
        description="Records that are right are taken, the others told by their index. Whatever is there is replaced.",
        status_code=202,
        responses=schemas.answers(Receipt, "What Kafka has; readable within a second", 202)
        | documented(401, 403, 409, 413, 415, 422, 429, 503),
        openapi_extra=schemas.takes(of.post, of.post(**{many: [of.example]})),
    )
    async def post(
        request: Request, deps: Deps, shared: Shared,
        idempotency_key: IdempotencyKey = None, principal: Principal = of.writer,
    ) -> Response:  # fmt: skip
        body = await json_body(request)

        def check(value: bytes) -> tuple[bytes, bytes]:
            name: str = getattr(of.decode(value, shared.limits), f"{of.kind}_id")
            return name.encode(), value

        return await shared.idempotency.once(
            idempotency_key, principal.id, path, body,
            lambda: shared.bulk(body, post_envelope, getattr(deps.settings.topics, many), check),
        )  # fmt: skip


def _one(of: Collection) -> str:
    return f"/{of.kind}s/{{{of.kind}_id}}"


def _named(of: Collection) -> Any:
    return Path(alias=f"{of.kind}_id")


def _a(of: Collection) -> str:
    return f"{'an' if of.kind[0] in 'aeiou' else 'a'} {of.kind}"
