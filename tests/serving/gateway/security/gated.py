"""A small application behind the gate, and what its tests ask of it."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, Request

from serving.gateway import problems
from serving.gateway.security.keys import NewKey, make_key, record_of
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.security.security import Security
from serving.gateway.security.surround import surround
from serving.gateway.settings import GatewaySettings
from streams.contracts.compacted import Record

HOUR = 3_600_000
Caller = Annotated[Principal, requires(Scope.RECOMMEND)]
Poster = Annotated[Principal, requires(Scope.INGEST, customer_tokens=True)]
Clerk = Annotated[Principal, requires(Scope.CATALOGUE, Scope.RECOMMEND)]


class Site:
    """An application behind the gate; no Kafka, no Redis: keys are told by hand, limits are this replica's own."""

    def __init__(self, **settings: Any) -> None:
        self.settings = GatewaySettings(
            redis_url="redis://127.0.0.1:1/0", gateway_token_secret=secrets.token_hex(32), **settings
        )
        self.security = Security(self.settings)
        self.app = FastAPI()
        self.reached: list[str] = []
        self._routes()
        problems.install(self.app)
        surround(self.app, self.settings, self.security)

    def _routes(self) -> None:
        @self.app.get("/me")
        async def me(principal: Caller) -> str:
            self.reached.append(principal.id)
            return principal.id

        @self.app.get("/either")
        async def either(principal: Clerk) -> str:
            return principal.id

        @self.app.post("/events/{customer_id}")
        async def events(customer_id: str, principal: Poster, request: Request) -> str:
            principal.may_act_for(customer_id)
            await self.security.customer_limit(principal, customer_id)
            await request.body()
            return principal.id

        @self.app.get("/forgotten")
        async def forgotten() -> str:
            self.reached.append("forgotten")
            return "this route asks for no principal"

        @self.app.delete("/customers/{customer_id}")
        async def delete(customer_id: str, principal: Annotated[Principal, requires(Scope.CATALOGUE)]) -> None:
            if customer_id == "trouble":
                raise RuntimeError("a fault of the program")

        @self.app.get("/health/live")
        async def live() -> bool:
            return True

    def key(self, *scopes: Scope, client: str = "shop", **options: Any) -> NewKey:
        new = make_key(client, scopes, now(), **options)
        self.tell(record_of(new.record))
        return new

    def tell(self, record: tuple[bytes, bytes]) -> None:
        self.security.keys.apply([Record(record[0], record[1], 0, 0, 0)])

    def ask(self, method: str, path: str, key: NewKey | str | None = None, **options: Any) -> httpx.Response:
        return asyncio.run(self.asked([(method, path, key, options)]))[0]

    async def asked(self, requests: list[tuple[str, str, Any, dict[str, Any]]]) -> list[httpx.Response]:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return [await client.request(m, path, **(bearer(key) | options)) for m, path, key, options in requests]


def bearer(key: NewKey | str | None) -> dict[str, Any]:
    text = key.text if isinstance(key, NewKey) else key
    return {} if text is None else {"headers": {"Authorization": f"Bearer {text}"}}


def now() -> int:
    return time.time_ns() // 1_000_000


def refused(answer: httpx.Response, status: int, code: str) -> bool:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    return True


def token(site: Site, customer_id: str, via: str) -> str:
    assert site.security.attestation is not None
    return site.security.attestation.token(customer_id, 60, via)[0]
