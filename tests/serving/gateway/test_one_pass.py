"""A route that finds its parameters by itself answers and refuses as FastAPI's own does."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import httpx
import pydantic
import pytest
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import Field

from serving.gateway.one_pass import OnePassRoute


class Asked(pydantic.BaseModel):
    """A query."""

    n: Annotated[int, Field(ge=1, le=9)] = 3
    names: Annotated[list[str], Field(max_length=2)] = []
    share: float = 0.5
    really: bool = False


async def method(request: Request) -> str:
    return request.method


async def shown(
    item: Annotated[str, Path(min_length=2, max_length=4)],
    how: Annotated[str, Depends(method)],
    query: Annotated[Asked, Query()],
    request: Request,
) -> Response:
    return JSONResponse([item, how, query.model_dump(), request.url.path])


def asked(route: type[APIRoute], path: str) -> tuple[int, Any]:
    app, router = FastAPI(), APIRouter(route_class=route)
    router.get("/items/{item}")(shown)
    app.router.routes.extend(router.routes)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path)

    answer = asyncio.run(ask())
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    "path",
    [
        "/items/abc",
        "/items/abc?n=5&names=a&names=b&share=.25&really=true&other=1",
        "/items/abc?n=5&n=6&names=a",
        "/items/abc?n=10",
        "/items/abc?n=",
        "/items/abc?names=a&names=b&names=c&share=x",
        "/items/a?n=0",
        "/items/abcde",
    ],
)
def test_it_answers_as_fastapis_own(path: str) -> None:
    assert asked(OnePassRoute, path) == asked(APIRoute, path)


def test_what_it_cannot_find_is_told_at_once() -> None:
    async def handler(n: int) -> Response:
        return Response(str(n))

    with pytest.raises(TypeError, match="finds no parameter like n"):
        APIRouter(route_class=OnePassRoute).get("/")(handler)
