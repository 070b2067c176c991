"""Messages as JSON over HTTP: encoded by the one codec, described in OpenAPI by the structs themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi.responses import Response

from streams.contracts.codec import encode

JSON = "application/json"
_REFERENCE = "#/components/schemas/{name}"
_structs: dict[str, type] = {}


def reply(message: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a struct (or a list of them) as JSON."""
    return Response(encode(message), status, headers=dict(headers or {}), media_type=JSON)


def answers(message: type, description: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that answers with this struct."""
    return {status: {"description": description, "content": {JSON: {"schema": reference(message)}}}}


def takes(message: type, *examples: Any) -> dict[str, Any]:
    """`openapi_extra=` of a route that decodes this struct from the body itself."""
    content: dict[str, Any] = {"schema": reference(message)}
    if examples:
        content["example"] = msgspec.to_builtins(examples[0])
    return {"requestBody": {"required": True, "content": {JSON: content}}}


def reference(message: type) -> dict[str, Any]:
    """A `$ref` to a struct's schema, which `components` then holds."""
    _structs[message.__name__] = message
    return {"$ref": _REFERENCE.format(name=message.__name__)}


def components() -> dict[str, Any]:
    """JSON Schemas by name of all structs that were referred to, and of what they hold."""
    _, found = msgspec.json.schema_components(list(_structs.values()), ref_template=_REFERENCE)
    return dict(found)
