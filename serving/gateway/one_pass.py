"""Routes whose parameters are checked in one pass.

FastAPI goes through the declaration of each parameter anew with every request: for the dozen that a recommendation
takes that is some thousand calls of Python and C. What a handler declares is read here once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import pydantic
from fastapi import Request, params
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute

Take = Callable[[Request], Awaitable[Any]]
"""What a parameter is given for a request; raises pydantic.ValidationError where that is not what was declared."""


class OnePassRoute(APIRoute):
    """A route that documents itself as any other, and finds its parameters by itself.

    Its handler may take the request, single parameters of the path, one model of the query, and dependencies that need
    nothing but the request, its caller (`serving.gateway.security.principal.requires`) among them. As in other routes
    dependencies come first, and all that is wrong with path and query is told at once. Raises TypeError for a handler
    with anything else.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        endpoint = self.endpoint
        found = [_source(name, hint) for name, hint in get_type_hints(endpoint, include_extras=True).items()]
        first = [source for source in found if source is not None and not source.where]
        checked = [source for source in found if source is not None and source.where]

        async def handle(request: Request) -> Response:
            values = {source.name: await source.take(request) for source in first}
            wrong: list[Any] = []
            for name, where, take in checked:
                try:
                    values[name] = await take(request)
                except pydantic.ValidationError as error:
                    told = error.errors(include_url=False)
                    wrong.extend({**each, "loc": (*where, *each["loc"])} for each in told)
            if wrong:
                raise RequestValidationError(wrong)
            answer: Response = await endpoint(**values)
            return answer

        return handle


class _Source(NamedTuple):
    """Where a handler's parameter comes from; `where` is the begin of what problems call it, if there can be any."""

    name: str
    where: tuple[str, ...]
    take: Take


def _source(name: str, hint: Any) -> _Source | None:
    kind, how = get_args(hint) if get_origin(hint) is Annotated else (hint, None)
    if name == "return":
        return None
    if kind is Request:
        return _Source(name, (), _itself)
    if isinstance(how, params.Depends) and how.dependency is not None:
        return _Source(name, (), how.dependency)
    if isinstance(how, params.Path):
        return _Source(name, ("path", name), _of_path(name, hint))
    if isinstance(how, params.Query) and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return _Source(name, ("query",), _of_query(kind))
    raise TypeError(f"such a route finds no parameter like {name}: {hint}")


async def _itself(request: Request) -> Request:
    return request


def _of_path(name: str, hint: Any) -> Take:
    validate = pydantic.TypeAdapter(hint).validate_python

    async def take(request: Request) -> Any:
        return validate(request.path_params[name])

    return take


def _of_query(model: type[pydantic.BaseModel]) -> Take:
    several = {name: get_origin(field.annotation) is list for name, field in model.model_fields.items()}

    async def take(request: Request) -> pydantic.BaseModel:
        given = request.query_params
        return model.model_validate(
            {name: given.getlist(name) if several[name] else given[name] for name in given if name in several}
        )

    return take
