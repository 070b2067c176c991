"""Records over HTTP: what is read of a request, and how what was found or written is answered."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Header, Request, Response

from feature_repo.record_store import Stored
from serving.gateway import schemas
from serving.gateway.etags import Preconditions, etag
from serving.gateway.problems import Problem
from serving.gateway.record_writes import Written
from serving.gateway.schemas import JSON

MERGE_PATCH = "application/merge-patch+json"

ETAG_HEADER = {"ETag": {"description": "The record's version, for If-Match", "schema": {"type": "string"}}}


async def json_body(request: Request, *also: str) -> bytes:
    """Return a request's body.

    Parameters
    ----------
    also
        Media types that are taken beside JSON.

    Raises
    ------
    Problem
        415: it says that it is something else.
    """
    given = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if given not in (JSON, *also):
        raise Problem(415, "unsupported_media_type", f"Content-Type is {given!r}; send {' or '.join((JSON, *also))}")
    return await request.body()


async def waits(
    prefer: Annotated[
        str | None,
        Header(description="`respond-async`: answer 202 as soon as Kafka has the record, before it can be read"),
    ] = None,
) -> bool:
    """Take from the header `Prefer` (RFC 7240) whether to wait until a write can be read."""
    return "respond-async" not in (each.strip().lower() for each in (prefer or "").split(","))


def found(stored: Stored, when: Preconditions) -> Response:
    """Answer with a record; 304 to who has it already."""
    tag = etag(stored.position)
    if when.unchanged(tag):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(stored.record, headers={"ETag": tag}, media_type=JSON)


def written(write: Written) -> Response:
    """Answer a write: 201 or 200 with the record, 204 after a deletion; 202 where it can't be read yet."""
    if write.record is None:
        return Response(status_code=204 if write.applied else 202)
    status = 202 if not write.applied else 201 if write.created else 200
    return Response(write.record, status, headers={"ETag": etag(write.position)}, media_type=JSON)


def record_responses(message: type, statuses: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that answers with a record and its tag, by status and what it means."""
    found: dict[int | str, dict[str, Any]] = {}
    for status, description in statuses.items():
        found |= schemas.answers(message, description, status)
        found[status]["headers"] = ETAG_HEADER
    return found


def without_body(statuses: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that answers with a status only, by status and what it means."""
    return {status: {"description": description} for status, description in statuses.items()}


def puts(message: type, example: Any) -> dict[str, Any]:
    """`openapi_extra=` of a route that takes a record whose id may be left out, for the path has it."""
    content = {"schema": {"type": "object", "properties": _fields(message)}, "example": msgspec.to_builtins(example)}
    return {"requestBody": {"required": True, "content": {JSON: content}}}


def patches(message: type, example: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra=` of a route that takes a merge patch: any fields of the struct, null for those to be reset."""
    properties = {name: {"anyOf": [_resettable(field), {"type": "null"}]} for name, field in _fields(message).items()}
    content = {"schema": {"type": "object", "properties": properties}, "example": example}
    return {"requestBody": {"required": True, "content": {MERGE_PATCH: content, JSON: content}}}


def _fields(message: type) -> dict[str, Any]:
    """Schemas of a struct's fields by name."""
    found: dict[str, Any] = msgspec.json.schema_components([message])[1][message.__name__]["properties"]
    return found


def _resettable(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field; what it holds (attributes) may be reset one by one."""
    return {**field, "additionalProperties": {"type": ["string", "null"]}} if field.get("type") == "object" else field
