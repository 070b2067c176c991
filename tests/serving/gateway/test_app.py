"""The application as a whole."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from fastapi.routing import APIRoute

from serving.gateway.app import make_app
from serving.gateway.settings import GatewaySettings
from serving.gateway.state import Gateway


def calls(dependant: Any) -> Iterator[Any]:
    """What FastAPI calls for a request, from the dependencies' dependencies to the handler."""
    for each in dependant.dependencies:
        yield from calls(each)
    yield dependant.call


def test_no_request_waits_for_a_thread_to_be_looked_at() -> None:
    """FastAPI calls what is not async in another thread, which costs more than all of it that we have."""
    app = make_app(cast(Gateway, SimpleNamespace(settings=GatewaySettings(), security=None)))
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    assert len(routes) > 20
    for route in routes:
        for call in calls(route.dependant):
            works = call if inspect.isroutine(call) else call.__call__
            assert inspect.iscoroutinefunction(works), (route.path, call)
