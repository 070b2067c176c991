"""The audit log: what is written down, and what never is."""

from __future__ import annotations

import json
import logging

import pytest
from structlog.testing import capture_logs

from serving.gateway.security.audit import audited, redacted
from serving.gateway.security.keys import make_key
from serving.gateway.security.principal import Scope
from tests.serving.gateway.security.gated import Site, now, token


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
        ("GET /customers/c/recommendations", False), ("POST /customers/c/recommendations", False),
        ("POST /interactions", False), ("POST /sessions/recommendations", False), ("GET /", False), ("GET ", False),
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
