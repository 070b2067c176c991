"""What stands between the network and the routes, from the outside in: headers, CORS, load shedding, the gate."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from serving.gateway.idempotency import REPLAYED
from serving.gateway.load_shedding import LoadShedding, LoopLag
from serving.gateway.security.gate import OPEN, Gate
from serving.gateway.security.headers import SecurityHeaders, on_faults_too
from serving.gateway.security.security import Security
from serving.gateway.settings import GatewaySettings

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = (
    "Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Prefer",
)  # fmt: skip
ANSWER_HEADERS = ("ETag", "Retry-After", REPLAYED)
PREFLIGHT_S = 600


def surround(app: FastAPI, settings: GatewaySettings, security: Security) -> None:
    """Add them to an application; what was added before stays inside.

    Raises
    ------
    ValueError: any origin's pages were to be let in.
    """
    origins = list(settings.gateway_cors_origins)
    if "*" in origins:
        raise ValueError("HEADWATER_GATEWAY_CORS_ORIGINS holds '*'; name the origins whose pages may call the gateway")
    app.add_middleware(Gate, security=security)
    app.add_middleware(LoadShedding, lag=LoopLag(), spared=OPEN)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=ANSWER_HEADERS,
            allow_credentials=False,  # nothing here goes by cookies
            max_age=PREFLIGHT_S,
        )
    app.add_middleware(SecurityHeaders, cross_origin=bool(origins))
    on_faults_too(app)
