"""The gate before a small application: who gets in, and what is refused how."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from serving.gateway.security.keys import make_key, record_of, revocation_of, rotated
from serving.gateway.security.principal import Scope
from tests.serving.gateway.security.gated import HOUR, Site, now, refused, token
from tests.serving.gateway.security.issuer import AUDIENCE, running_issuer


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


def test_open_for_development_nobody_needs_a_key() -> None:
    site = Site(gateway_open=True, gateway_rate_per_key="1/hour")
    for host in ("127.0.0.1:8080", "localhost", "[::1]:8080"):
        assert site.ask("GET", "/me", headers={"Host": host}).json() == "open"
    # A name that somebody else's page has, and that leads here.
    for host in ("evil.example:8080", "localhost.evil.example", "10.0.0.7", "", "[::1"):
        assert refused(site.ask("GET", "/me", headers={"Host": host}), 403, "not_local")
    with pytest.raises(ValueError, match="HEADWATER_GATEWAY_OPEN"):
        Site(gateway_open=True, gateway_host="0.0.0.0")  # noqa: S104


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
