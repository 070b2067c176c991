"""The application: routes, what surrounds them, and the OpenAPI document that describes both."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serving.gateway import (
    customers,
    explanations,
    health,
    interactions,
    items,
    keys,
    popular,
    problems,
    recommendations,
    schemas,
    sessions,
    similar,
    tokens,
)
from serving.gateway.body_limit import BodyLimit
from serving.gateway.measured import Measured
from serving.gateway.security.surround import surround
from serving.gateway.state import Gateway

ROUTES = (
    health, recommendations, sessions, explanations, popular, similar, customers, items, interactions, tokens, keys,
)  # fmt: skip
"""Modules with a `router` each, in an order in which `/items/popular` is found before `/items/{item_id}`."""

DESCRIPTION = "Customers, items and interactions in; recommendations, similar items and the reasons for them out."


def make_app(gateway: Gateway) -> FastAPI:
    """The application over what a process has made."""
    settings = gateway.settings
    app = FastAPI(
        title="Headwater", description=DESCRIPTION, version="1.0.0", docs_url=None, redoc_url=None,
        redirect_slashes=False,
        openapi_url="/openapi.json" if settings.gateway_open else None,
    )  # fmt: skip
    app.state.gateway = gateway
    for module in ROUTES:
        app.router.routes.extend(module.router.routes)  # an included router is looked through twice a request
    problems.install(app)
    app.add_middleware(BodyLimit, limit=settings.gateway_max_body_bytes)
    surround(app, settings, gateway.security)
    app.add_middleware(Measured)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once: with the structs' schemas, and invalid input told as a problem."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        held = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            held.pop(name, None)
        body = problems.ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
        held |= body.pop("$defs") | {problems.ProblemBody.__name__: body} | schemas.components()
        invalid = problems.documented(422)[422]
        for operations in document["paths"].values():
            for operation in operations.values():
                if "422" in operation["responses"]:
                    operation["responses"]["422"] = invalid
        app.openapi_schema = document
    return app.openapi_schema
