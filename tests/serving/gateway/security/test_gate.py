"""The gate before a small application: who gets in, what is refused how, and what is written down."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Request
from structlog.testing import capture_logs

from serving.gateway import problems
from serving.gateway.security.audit import audited, redacted
from serving.gateway.security.headers import HEADERS
from serving.gateway.security.keys import NewKey, make_key, record_of, revocation_of, rotated
from serving.gateway.security.principal import Principal, Scope, requires
from serving.gateway.security.security import Security
from serving.gateway.security.surround import surround
from serving.gateway.settings import GatewaySettings
from streams.contracts.compacted import Record
from tests.serving.gateway.security.issuer import AUDIENCE, running_issuer

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


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()


def refused(answer: httpx.Response, status: int, code: str) -> bool:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    return True


def test_who_has_a_key_gets_in_by_either_header(site: Site) -> None:
    key = site.key(Scope.RECOMMEND)
    for headers in (
        {"Authorization": f"Bearer {key.text}"},
        {"authorization": f"bearer  {key.text}"},
        {"X-API-Key": key.text},
    ):
        answer = site.ask("GET", "/me", headers=headers)
        assert (answer.status_code, answer.json()) == (200, key.record.key_id)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer hw_000000000000_" + "0" * 40},
        {"Authorization": "Bearer " + "x" * 9000},
        {"Authorization": "Bearer \u00ff\u00fe".encode("latin-1")},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"X-API-Key": ""},
        {"X-API-Key": "' OR 1=1"},
        {"Cookie": "key=hw_000000000000_" + "0" * 40},
    ],
    ids=str,
)
def test_nobody_else_does(site: Site, headers: dict[str, Any]) -> None:
    site.reached.clear()
    for path in (
        "/me",
        "/forgotten",
        "/nowhere",
        "/openapi.json",
        "/docs",
        "/health",
        "/health/live/",
        "//health/live",
    ):
        answer = site.ask("GET", path, headers=headers)
        assert refused(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert site.reached == []


def test_two_credentials_are_none(site: Site) -> None:
    key = site.key(Scope.RECOMMEND)
    both = {"Authorization": f"Bearer {key.text}", "X-API-Key": key.text}
    assert refused(site.ask("GET", "/me", headers=both), 401, "unauthenticated")
    twice = httpx.Headers([("X-API-Key", key.text), ("X-API-Key", key.text)])
    assert refused(site.ask("GET", "/me", headers=twice), 401, "unauthenticated")


def test_health_is_open_and_nothing_else(site: Site) -> None:
    assert site.ask("GET", "/health/live").status_code == 200
    assert refused(site.ask("GET", "/forgotten"), 401, "unauthenticated")


def test_a_body_is_not_read_of_somebody_unknown(site: Site) -> None:
    async def ask() -> list[Any]:
        sent = []

        async def receive() -> Any:
            raise AssertionError("the body was asked for")

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": "/events/1842", "raw_path": b"/events/1842", "query_string": b"", "root_path": "",
            "headers": [(b"content-length", b"4000000")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
        }  # fmt: skip
        await site.app(scope, receive, send)
        return sent

    assert asyncio.run(ask())[0]["status"] == 401


def test_a_scope_opens_what_asks_for_it(site: Site) -> None:
    ingest, recommend, catalogue, admin = (site.key(scope) for scope in Scope)
    for other in (ingest, catalogue, admin):
        answer = site.ask("GET", "/me", other)
        assert refused(answer, 403, "scope_missing")
        assert "recommend" in answer.json()["detail"]
    assert site.ask("GET", "/me", recommend).status_code == 200
    assert [site.ask("GET", "/either", key).status_code for key in (ingest, recommend, catalogue, admin)] == [
        403, 200, 200, 403,
    ]  # fmt: skip


def test_expired_rotated_and_revoked_keys_are_out(site: Site) -> None:
    expired = make_key("shop", [Scope.RECOMMEND], now() - HOUR, expires_at=now() - 1)
    site.tell(record_of(expired.record))
    assert refused(site.ask("GET", "/me", expired), 401, "unauthenticated")
    old = site.key(Scope.RECOMMEND)
    new = rotated(old.record, now(), overlap=HOUR)
    site.tell(record_of(new.record))
    assert [site.ask("GET", "/me", key).status_code for key in (old, new)] == [200, 200]
    site.tell(revocation_of(new.record, now()))
    for key in (old, new):
        assert refused(site.ask("GET", "/me", key), 401, "unauthenticated")


def token(site: Site, customer_id: str, via: str) -> str:
    assert site.security.attestation is not None
    return site.security.attestation.token(customer_id, 60, via)[0]


def test_a_customer_s_token_is_good_for_that_customer_s_events_and_nothing_else(site: Site) -> None:
    key = site.key(Scope.INGEST, Scope.RECOMMEND)
    own = token(site, "1842", key.record.key_id)
    assert site.ask("POST", "/events/1842", own).json() == "customer:1842"
    assert refused(site.ask("POST", "/events/1843", own), 403, "other_customer")
    assert refused(site.ask("GET", "/me", own), 403, "customer_token")
    assert refused(site.ask("DELETE", "/customers/1842", own), 403, "customer_token")
    assert site.ask("POST", "/events/1843", key).status_code == 200


def test_a_key_takes_its_tokens_with_it(site: Site) -> None:
    key = site.key(Scope.INGEST)
    tokens = {
        "revoked": token(site, "1842", key.record.key_id),
        "unknown": token(site, "1842", "000000000000"),
        "open": token(site, "1842", "open"),
        "no issuer": token(site, "1842", "oidc:somebody"),
        "no scope": token(site, "1842", site.key(Scope.RECOMMEND).record.key_id),
    }
    assert site.ask("POST", "/events/1842", tokens["revoked"]).status_code == 200
    site.tell(revocation_of(key.record, now()))
    for each in tokens.values():
        assert refused(site.ask("POST", "/events/1842", each), 401, "unauthenticated")


def test_without_a_secret_there_are_no_customers_tokens(site: Site) -> None:
    other = Site()
    other.security.attestation = None
    assert refused(other.ask("POST", "/events/1842", token(site, "1842", "k")), 401, "unauthenticated")


def test_an_issuer_s_tokens_are_an_alternative() -> None:
    with running_issuer() as issuer:
        site = Site(oidc_issuer=issuer.url, oidc_audience=AUDIENCE)
        assert site.ask("GET", "/me", issuer.token()).json() == "oidc:till 7"
        assert refused(site.ask("DELETE", "/customers/7", issuer.token()), 403, "scope_missing")
        assert refused(site.ask("GET", "/me", issuer.token(exp=now() // 1000 - 60)), 401, "unauthenticated")
        own = token(site, "1842", "oidc:till 7")
        assert site.ask("POST", "/events/1842", own).status_code == 200
        unheard = Site(oidc_issuer=issuer.url, oidc_audience=AUDIENCE)
        issuer.away = True
        answer = unheard.ask("GET", "/me", issuer.token())
        assert refused(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0


def test_an_issuer_without_an_audience_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="AUDIENCE"):
        Site(oidc_issuer="https://issuer.example")


def test_beyond_its_rate_a_caller_is_told_when_to_come_again() -> None:
    site = Site(gateway_rate_per_key="3/hour", gateway_rate_per_customer="2/hour")
    key, fast = site.key(Scope.RECOMMEND), site.key(Scope.RECOMMEND, rate="5/hour")
    asked = [("GET", "/me", key, {})] * 4 + [("GET", "/nowhere", key, {})] + [("GET", "/me", fast, {})] * 6
    answers = asyncio.run(site.asked(asked))
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2 + [200] * 5 + [429]
    assert refused(answers[3], 429, "too_many_requests")
    assert int(answers[3].headers["retry-after"]) >= 1


def test_a_customer_s_events_are_counted_whoever_posts_them() -> None:
    site = Site(gateway_rate_per_customer="2/hour")
    key = site.key(Scope.INGEST)
    own = token(site, "1842", key.record.key_id)
    asked = [
        ("POST", "/events/1842", key, {}),
        ("POST", "/events/1842", own, {}),
        ("POST", "/events/1842", key, {}),
        ("POST", "/events/1843", key, {}),
        ("POST", "/events/1843", own, {}),
        ("POST", "/events/1843", own, {}),
    ]
    answers = asyncio.run(site.asked(asked))
    # The last is refused before it is looked at: a token's own calls count too.
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 403, 429]


def test_open_for_development_nobody_needs_a_key() -> None:
    site = Site(gateway_open=True, gateway_rate_per_key="1/hour")
    for host in ("127.0.0.1:8080", "localhost", "[::1]:8080"):
        assert site.ask("GET", "/me", headers={"Host": host}).json() == "open"
    # A name that somebody else's page has, and that leads here.
    for host in ("evil.example:8080", "localhost.evil.example", "10.0.0.7", "", "[::1"):
        assert refused(site.ask("GET", "/me", headers={"Host": host}), 403, "not_local")
    with pytest.raises(ValueError, match="HEADWATER_GATEWAY_OPEN"):
        Site(gateway_open=True, gateway_host="0.0.0.0")  # noqa: S104


def test_every_answer_tells_browsers_to_keep_out(site: Site) -> None:
    key = site.key(Scope.RECOMMEND, Scope.CATALOGUE)
    answers = [
        site.ask("GET", "/me", key), site.ask("GET", "/me"), site.ask("GET", "/nowhere", key),
        site.ask("GET", "/health/live"), site.ask("PUT", "/me", key),
        site.ask("DELETE", "/customers/trouble", key),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 401, 404, 200, 405, 500]
    for answer in answers:
        assert dict(answer.headers) | {name.lower(): value for name, value in HEADERS.items()} == dict(answer.headers)


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


def test_no_page_may_call_by_default(site: Site) -> None:
    origin = {"Origin": "https://shop.example"}
    key = site.key(Scope.RECOMMEND)
    for answer in (
        site.ask("OPTIONS", "/me", headers=origin | PREFLIGHT),
        site.ask("GET", "/me", headers=origin | {"Authorization": f"Bearer {key.text}"}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_pages_of_named_origins_may() -> None:
    site = Site(gateway_cors_origins=("https://shop.example",))
    key = site.key(Scope.RECOMMEND)
    named, other = {"Origin": "https://shop.example"}, {"Origin": "https://elsewhere.example"}
    assert site.ask("OPTIONS", "/me", headers=named | PREFLIGHT).status_code == 200
    assert site.ask("OPTIONS", "/me", headers=other | PREFLIGHT).status_code == 400
    answer = site.ask("GET", "/me", headers=named | bearer(key)["headers"])
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-credentials" not in answer.headers
    assert refused(site.ask("GET", "/me", headers=named), 401, "unauthenticated")
    with pytest.raises(ValueError, match=r"'\*'"):
        Site(gateway_cors_origins=("*",))


def test_writes_are_written_down_with_who_and_whether(site: Site) -> None:
    clerk, reader = site.key(Scope.CATALOGUE), site.key(Scope.RECOMMEND)
    with capture_logs() as log:
        site.ask("DELETE", "/customers/1842", clerk)
        site.ask("DELETE", "/customers/1842", reader)
        site.ask("DELETE", "/customers/1842")
        site.ask("DELETE", "/customers/trouble", clerk)
        site.ask("GET", "/me", reader)
    lines = [
        (line["who"], line["method"], line["path"], line["status"], line["allowed"])
        for line in log
        if line["event"] == "call"
    ]
    assert lines == [
        (clerk.record.key_id, "DELETE", "/customers/1842", 200, True),
        (reader.record.key_id, "DELETE", "/customers/1842", 403, False),
        (None, "DELETE", "/customers/1842", 401, False),
        (clerk.record.key_id, "DELETE", "/customers/trouble", 500, True),
    ]


@pytest.mark.parametrize(
    ("call", "written"),
    [
        ("GET /keys", True), ("POST /keys", True), ("DELETE /keys/k", True), ("POST /keys/k/rotate", True),
        ("POST /tokens", True), ("PUT /items/i", True), ("POST /items/bulk", True), ("GET /items/i", False),
        ("GET /customers", True), ("GET /customers/c", True), ("PATCH /customers/c", True),
        ("GET /customers/c/recommendations", False), ("POST /interactions", False),
        ("POST /sessions/recommendations", False), ("GET /", False), ("GET ", False),
    ],
)  # fmt: skip
def test_what_belongs_into_the_audit_log(call: str, written: bool) -> None:
    method, _, path = call.partition(" ")
    assert audited(method, path) is written


def test_the_audit_log_is_written_whatever_the_level() -> None:
    assert logging.getLogger("headwater.audit").isEnabledFor(logging.INFO)


def test_no_secret_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    site = Site()
    key = site.key(Scope.INGEST, Scope.CATALOGUE)
    attested = token(site, "1842", key.record.key_id)
    secret = site.settings.gateway_token_secret
    assert secret is not None
    with capture_logs() as log:
        for credential in (key.text, attested, key.text[:-1] + "x", attested[:-4]):
            site.ask("DELETE", f"/customers/{credential}", credential)
            site.ask("DELETE", f"/customers/1842?key={credential}", credential)
            site.ask("DELETE", "/customers/1842", headers={"X-API-Key": credential})
            site.ask("POST", "/events/1842", credential, content=credential)
        site.ask("DELETE", "/customers/trouble", key)
    shown = (site.settings, site.security, vars(site.security), vars(site.security.attestation))
    ours = [record.getMessage() for record in caplog.records if record.name != "httpx"]  # which is the caller here
    told = json.dumps([log, ours], default=str) + repr(shown)
    assert "/customers/" in told
    for hidden in (key.text.rpartition("_")[2][:-1], attested.rpartition(".")[2][:-4], secret.get_secret_value()):
        assert hidden not in told


def test_what_looks_like_a_credential_is_left_out() -> None:
    key = make_key("shop", [Scope.ADMIN], now()).text
    assert redacted(f"/customers/{key}/x") == "/customers/[credential]/x"
    assert redacted("/customers/eyJhbGciOiJIUzI1NiJ9.e30.c2ln") == "/customers/[credential]"
    assert redacted("/customers/1842") == "/customers/1842"


def test_there_are_no_websockets(site: Site) -> None:
    async def connect() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        scope = {"type": "websocket", "path": "/health/live", "headers": [], "query_string": b""}
        await site.app(scope, receive, send)
        return sent

    assert asyncio.run(connect()) == [{"type": "websocket.close", "code": 1008}]
