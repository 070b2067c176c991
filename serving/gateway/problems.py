"""What goes wrong, as RFC 9457 has it: problem+json, with a code for programs and a sentence for people."""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pydantic
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from streams.contracts.rejection import Rejected

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1


class FieldError(pydantic.BaseModel):
    """One thing wrong with one part of a request: where it is, and what is wrong with it."""

    where: str
    detail: str


class ProblemBody(pydantic.BaseModel):
    """The body of every answer that is no success; `code` is for programs, `detail` for people."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldError] | None = None


class Problem(HTTPException):
    """Raised by handlers and dependencies to refuse a request.

    Parameters
    ----------
    code: for programs; lower case with underscores, part of the interface.
    detail: for people; names the thing, the value and the way out.
    extra: more members of the body.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.code, self.extra = code, extra


def busy(detail: str, *, after_s: int = RETRY_AFTER_S) -> Problem:
    """503: more is waiting than can be answered in time; come back after so many seconds."""
    return Problem(503, "busy", detail, headers={"Retry-After": str(after_s)})


def unavailable(detail: str, *, after_s: int = RETRY_AFTER_S) -> Problem:
    """503: something that this request needs (Kafka, Redis) is out of reach."""
    return Problem(503, "unavailable", detail, headers={"Retry-After": str(after_s)})


def rejected(why: Rejected) -> Problem:
    """422: the body is not what it should be, for one of the reasons that dead letters have too."""
    return Problem(422, why.reason.value, why.detail)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: the problems it may answer with. 422 is documented wherever there is input."""
    schema = {"schema": {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}}
    headers = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
    return {
        status: {
            "description": http.HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: schema},
            **({"headers": headers} if status in (429, 503) else {}),
        }
        for status in statuses
    }


def response(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **extra: Any) -> Response:
    """The answer that tells a problem."""
    body = {"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status, "code": code}
    content = msgspec.json.encode({**body, "detail": detail, **extra})
    return Response(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Have everything that handlers raise, and whatever else fails, told as a problem."""
    app.add_exception_handler(HTTPException, _told)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _failed)


async def _told(_: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return response(error.status_code, error.code, error.detail, error.headers, **error.extra)
    if isinstance(error, HTTPException):
        code = http.HTTPStatus(error.status_code).name.lower()
        return response(error.status_code, code, error.detail, error.headers)
    raise error


async def _invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [{"where": _where(each["loc"]), "detail": each["msg"]} for each in error.errors()]
    detail = "; ".join(f"{each['where']}: {each['detail']}" for each in errors[:3])
    return response(422, "invalid", detail, errors=errors)


async def _failed(_: Request, __: Exception) -> Response:
    """A fault of the program: the server's log has it, the caller learns nothing of the inside."""
    return response(500, "internal", "the gateway failed on this request; its log says why")


def _where(place: Sequence[Any]) -> str:
    return ".".join(str(part) for part in place)
