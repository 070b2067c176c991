"""Customers' tokens at the gate: good for one customer's events, as long as the key that asked for them."""

from __future__ import annotations

import asyncio

from serving.gateway.security.keys import revocation_of
from serving.gateway.security.principal import Scope
from tests.serving.gateway.security.gated import Site, now, refused, token


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
