"""What browsers are told, and whose pages may call."""

from __future__ import annotations

import pytest

from serving.gateway.security.headers import HEADERS
from serving.gateway.security.principal import Scope
from tests.serving.gateway.security.gated import Site, bearer, refused

PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, if-match, if-none-match, prefer",
}


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
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed == {"etag", "retry-after", "idempotency-replayed"}
    assert refused(site.ask("GET", "/me", headers=named), 401, "unauthenticated")
    with pytest.raises(ValueError, match=r"'\*'"):
        Site(gateway_cors_origins=("*",))
