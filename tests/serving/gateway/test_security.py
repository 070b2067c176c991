"""Every endpoint against every kind of caller who must not get in, on a running gateway; keys through their topic."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from feature_repo.redis_commands import connect
from serving.gateway.app import ROUTES
from serving.gateway.security.keys import NewKey, make_key, record_of, revocation_of
from serving.gateway.security.principal import Scope
from serving.gateway.security.security import Security
from tests.serving.gateway.running import RunningGateway, running_gateway
from tests.serving.gateway.security.issuer import AUDIENCE, Issuer, running_issuer
from tests.serving.running import until
from tests.serving.triton_server import ROOT, TritonServer

INGEST, RECOMMEND, CATALOGUE, ADMIN = Scope

OPEN: dict[str, set[Scope]] = {"GET /health/live": set(), "GET /health/ready": set()}
CLOSED: dict[str, set[Scope]] = {
    "GET /customers/{customer_id}/recommendations": {RECOMMEND},
    "POST /customers/{customer_id}/recommendations": {RECOMMEND},
    "POST /sessions/recommendations": {RECOMMEND},
    "GET /recommendations/{recommendation_id}": {RECOMMEND},
    "GET /items/popular": {RECOMMEND},
    "GET /items/trending": {RECOMMEND},
    "GET /items/{item_id}/similar": {RECOMMEND},
    "GET /items/{item_id}/bought-together": {RECOMMEND},
    "GET /items": {RECOMMEND, CATALOGUE},
    "GET /items/{item_id}": {RECOMMEND, CATALOGUE},
    "PUT /items/{item_id}": {CATALOGUE},
    "PATCH /items/{item_id}": {CATALOGUE},
    "DELETE /items/{item_id}": {CATALOGUE},
    "POST /items/bulk": {CATALOGUE},
    "GET /customers": {CATALOGUE},
    "GET /customers/{customer_id}": {CATALOGUE},
    "PUT /customers/{customer_id}": {CATALOGUE},
    "PATCH /customers/{customer_id}": {CATALOGUE},
    "DELETE /customers/{customer_id}": {CATALOGUE},
    "POST /customers/bulk": {CATALOGUE},
    "POST /interactions": {INGEST},
    "POST /interactions/bulk": {INGEST},
    "POST /tokens": {INGEST},
    "GET /keys": {ADMIN},
    "POST /keys": {ADMIN},
    "DELETE /keys/{key_id}": {ADMIN},
    "POST /keys/{key_id}/rotate": {ADMIN},
}
"""Every endpoint, and which scopes open it."""

FOR_BROWSERS = {"POST /interactions", "POST /interactions/bulk"}
"""Where a customer's token is good, for that customer."""

TOKEN_SECRET = secrets.token_hex(32)


@dataclass
class Site:
    """The gateway, and callers of every kind."""

    gateway: RunningGateway
    http: httpx.Client
    issuer: Issuer
    made: list[NewKey] = field(default_factory=list)

    def key(self, *scopes: Scope, **options: Any) -> NewKey:
        """A key, told to the gateway by its topic as the command line does."""
        new = make_key("a test", scopes, now(), **options)
        self.made.append(new)
        self.tell(record_of(new.record))
        return new

    def tell(self, record: tuple[bytes, bytes]) -> None:
        self.gateway.send(self.gateway.settings.topics.api_keys.name, record[1], record[0].decode())
        assert self.gateway.producer.flush(10) == 0

    def ask(self, endpoint: str, credential: NewKey | str | None, body: Any = None) -> httpx.Response:
        """Call an endpoint about somebody and something unknown."""
        method, _, path = endpoint.partition(" ")
        text = credential.text if isinstance(credential, NewKey) else credential
        headers = {"Prefer": "respond-async"} | ({} if text is None else {"Authorization": f"Bearer {text}"})
        content = None if method in ("GET", "DELETE") else json.dumps(body or {}).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        return self.http.request(method, path.replace("{", "").replace("}", ""), headers=headers, content=content)

    def known(self, key: NewKey) -> bool:
        """Has the gateway heard of it?"""
        return self.ask("GET /nowhere", key).status_code != 401


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def site(kafka: str, redis_url: str, triton: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    connect(redis_url).flushall()
    with running_issuer() as issuer:
        extra = {
            "HEADWATER_GATEWAY_OPEN": "false",
            "HEADWATER_GATEWAY_TOKEN_SECRET": TOKEN_SECRET,
            "HEADWATER_GATEWAY_RATE_PER_CUSTOMER": "1000/second",
            "HEADWATER_OIDC_ISSUER": issuer.url,
            "HEADWATER_OIDC_AUDIENCE": AUDIENCE,
        }
        gateway = running_gateway(kafka, redis_url, triton, tmp_path_factory.mktemp("secured"), extra)
        gateway.start()
        with gateway.http() as http:
            yield Site(gateway, http, issuer)
    assert gateway.close() == 0, gateway.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def callers(site: Site) -> dict[str, Any]:
    """Who must not get in, by why; and for each endpoint who may."""
    everything = set(Scope)
    expired = make_key("a test", everything, now() - 10_000, expires_at=now() - 1)
    site.tell(record_of(expired.record))
    revoked = site.key(*everything)
    site.tell(revocation_of(revoked.record, now()))
    limited = site.key(*everything, rate="1/day")
    good = {endpoint: site.key(*scopes) for endpoint, scopes in CLOSED.items()}
    poor = {endpoint: site.key(*(everything - scopes)) for endpoint, scopes in CLOSED.items()}
    until(lambda: site.known(poor["POST /keys/{key_id}/rotate"]))
    until(lambda: site.ask("GET /nowhere", limited).status_code == 429)
    order = {"customer_id": "ann", "ttl_s": 3600}
    token = site.ask("POST /tokens", good["POST /tokens"], order)
    assert token.status_code == 201, token.text
    return {
        "nobody": None,
        "unknown": make_key("a test", everything, now()),
        "expired": expired,
        "revoked": revoked,
        "limited": limited,
        "poor": poor,
        "good": good,
        "ann": token.json()["token"],
    }


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_the_table_has_every_endpoint() -> None:
    routes: set[str] = set()
    for module in ROUTES:
        for route in module.router.routes:
            routes |= {f"{method} {route.path}" for method in route.methods}
    assert routes == {*OPEN, *CLOSED}


@pytest.mark.parametrize("endpoint", OPEN)
def test_health_is_told_to_everybody(site: Site, endpoint: str) -> None:
    assert site.ask(endpoint, None).status_code == 200


@pytest.mark.parametrize("who", ["nobody", "unknown", "expired", "revoked"])
@pytest.mark.parametrize("endpoint", CLOSED)
def test_whoever_is_not_known_is_not_let_in(site: Site, callers: dict[str, Any], endpoint: str, who: str) -> None:
    refused(site.ask(endpoint, callers[who]), 401, "unauthenticated")


@pytest.mark.parametrize("endpoint", CLOSED)
def test_all_other_scopes_together_are_not_the_right_one(site: Site, callers: dict[str, Any], endpoint: str) -> None:
    refused(site.ask(endpoint, callers["poor"][endpoint]), 403, "scope_missing")


@pytest.mark.parametrize("endpoint", CLOSED)
def test_beyond_its_rate_nobody_is_let_in(site: Site, callers: dict[str, Any], endpoint: str) -> None:
    answer = site.ask(endpoint, callers["limited"])
    refused(answer, 429, "too_many_requests")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("endpoint", CLOSED)
def test_another_customer_s_token_opens_nothing(site: Site, callers: dict[str, Any], endpoint: str) -> None:
    body = {
        "POST /interactions": event("bob"),
        "POST /interactions/bulk": {"interactions": [event("ann"), event("bob")]},
    }
    answer = site.ask(endpoint, callers["ann"], body.get(endpoint))
    refused(answer, 403, "other_customer" if endpoint in FOR_BROWSERS else "customer_token")


@pytest.mark.parametrize("endpoint", CLOSED)
def test_who_may_is_not_refused(site: Site, callers: dict[str, Any], endpoint: str) -> None:
    answer = site.ask(endpoint, callers["good"][endpoint])
    assert answer.status_code not in (401, 403, 429), answer.text


def event(customer_id: str) -> dict[str, Any]:
    about = {"customer_id": customer_id, "item_id": "i1", "type": "view"}
    return {"event_id": secrets.token_hex(8), "timestamp": now(), **about}


def test_a_browser_posts_its_own_customer_s_events(site: Site, callers: dict[str, Any]) -> None:
    assert site.ask("POST /interactions", callers["ann"], event("ann")).status_code == 202
    bulk = site.ask("POST /interactions/bulk", callers["ann"], {"interactions": [event("ann"), {"customer_id": "bob"}]})
    assert bulk.status_code == 202
    assert bulk.json()["accepted"] == 1


def test_the_issuer_s_tokens_open_what_their_scopes_say(site: Site) -> None:
    catalogue = site.issuer.token("ec", "ES256", scope="openid catalogue")
    assert site.ask("GET /items", catalogue).status_code == 200
    refused(site.ask("GET /items/popular", catalogue), 403, "scope_missing")
    refused(site.ask("GET /items", site.issuer.token(exp=now() // 1000 - 60)), 401, "unauthenticated")
    refused(site.ask("GET /items", site.issuer.token(aud="another service")), 401, "unauthenticated")


def test_what_the_page_says_of_the_first_key_works(site: Site) -> None:
    page = (ROOT / "SECURITY.md").read_text()
    commands = page.partition("```bash\n")[2].partition("```")[0]
    for said, done in (
        ("http://127.0.0.1:8080", site.gateway.url),
        ("curl ", "sleep 3; curl --fail-with-body --silent "),
    ):
        assert said in commands
        commands = commands.replace(said, done)
    found = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env={**os.environ, **site.gateway.environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert '"client":"web shop"' in found.stdout
    assert "revoked: " in found.stdout


def test_keys_are_made_rotated_and_revoked_over_http_and_every_replica_follows(site: Site) -> None:
    admin = site.key(ADMIN)
    until(lambda: site.known(admin))
    replica = Security(site.gateway.settings)
    replica.start()
    try:
        made = site.ask("POST /keys", admin, {"client": "till", "scopes": ["recommend"], "expires_in_s": 3600})
        assert made.status_code == 201
        text, key_id = made.json()["key"], made.json()["key_id"]
        assert site.ask("GET /items/popular", text).status_code == 200
        until(lambda: replica.keys.good(key_id, now()), 10)
        rotated = site.ask(f"POST /keys/{key_id}/rotate", admin, {"overlap_s": 600}).json()["key"]
        assert [site.ask("GET /items/popular", each).status_code for each in (text, rotated)] == [200, 200]
        again = site.ask(f"POST /keys/{key_id}/rotate", admin, {"overlap_s": 0}).json()["key"]
        assert [site.ask("GET /items/popular", each).status_code for each in (text, rotated, again)] == [401, 401, 200]
        listed = {key["key_id"]: key for key in site.ask("GET /keys", admin).json()["keys"]}
        assert listed[key_id]["client"] == "till"
        assert "key" not in listed[key_id]
        assert site.ask(f"DELETE /keys/{key_id}", admin).status_code == 204
        assert site.ask("GET /items/popular", again).status_code == 401
        until(lambda: replica.keys.good(key_id, now()) is None, 10)
        assert site.ask(f"DELETE /keys/{key_id}", admin).status_code == 204
        assert site.ask(f"POST /keys/{key_id}/rotate", admin).json()["code"] == "revoked"
        assert site.ask("DELETE /keys/none", admin).json()["code"] == "unknown_key"
    finally:
        replica.stop()


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"client": "till"},
        {"client": "till", "scopes": []},
        {"client": "till", "scopes": ["root"]},
        {"client": "", "scopes": ["admin"]},
        {"client": "till", "scopes": ["admin"], "rate": "0/second"},
        {"client": "till", "scopes": ["admin"], "expires_in_s": 0},
    ],
    ids=str,
)
def test_an_order_for_a_key_that_makes_no_sense_is_refused(
    site: Site, callers: dict[str, Any], order: dict[str, Any]
) -> None:
    answer = site.ask("POST /keys", callers["good"]["POST /keys"], order)
    assert answer.status_code == 422, answer.text


def test_a_redis_that_forgot_everything_lets_nobody_in_and_shuts_nobody_out(
    site: Site, callers: dict[str, Any], redis_url: str
) -> None:
    endpoint = "GET /items/popular"
    connect(redis_url).flushall()
    assert site.ask(endpoint, callers["good"][endpoint]).status_code == 200
    refused(site.ask(endpoint, callers["revoked"]), 401, "unauthenticated")


def test_a_body_too_large_is_refused(site: Site, callers: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {callers['good']['POST /interactions'].text}"}
    large = b" " * (site.gateway.settings.gateway_max_body_bytes + 1)
    declared = site.http.post("/interactions", content=large, headers=headers)
    streamed = site.http.post("/interactions", content=iter([large[:1000], large]), headers=headers)
    assert [declared.status_code, streamed.status_code] == [413, 413]


def test_the_log_tells_who_did_what_and_no_secret(site: Site, callers: dict[str, Any]) -> None:
    endpoint = "DELETE /customers/{customer_id}"
    site.ask(endpoint, callers["good"][endpoint])
    site.ask(f"GET /customers/{callers['good'][endpoint].text}", callers["ann"])
    log = site.gateway.log.read_text()
    calls = [line for line in map(_json, log.splitlines()) if line.get("logger") == "headwater.audit"]
    deletion = next(call for call in reversed(calls) if call["method"] == "DELETE")
    assert (deletion["who"], deletion["path"]) == (callers["good"][endpoint].record.key_id, "/customers/customer_id")
    assert {call["allowed"] for call in calls} == {True, False}
    assert "ann" in {call["about"] for call in calls if call["path"] == "/tokens"}
    made = {call["about"] for call in calls if (call["method"], call["path"], call["status"]) == ("POST", "/keys", 201)}
    assert made - {None}, "the key that was made over HTTP is named"
    for new in site.made:
        assert new.text not in log
        assert new.text.rpartition("_")[2] not in log
    for token in (callers["ann"], callers["ann"].rpartition(".")[2], TOKEN_SECRET):
        assert token not in log


def _json(line: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return found
