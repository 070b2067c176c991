"""Tokens of an OIDC issuer, from a real one: what is let in, and what an issuer's absence does."""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from serving.gateway.security.attestation import TokenRefusedError
from serving.gateway.security.jwks import FRESH_S, PAUSE_S, IssuerAwayError, Jwks
from serving.gateway.security.jwt_issuer import JwtIssuer
from serving.gateway.security.principal import Principal, Scope
from tests.serving.gateway.security.issuer import AUDIENCE, SUBJECT, Issuer, rsa_key, running_issuer


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running_issuer() as found:
        yield found


class Clock:
    """A clock that is set by hand."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


def checked(issuer: Issuer, token: str, keys: Jwks | None = None) -> Principal:
    return asyncio.run(JwtIssuer(issuer.url, AUDIENCE, keys or Jwks(issuer.url)).principal(token))


@pytest.mark.parametrize(("key_id", "algorithm"), [("rsa", "RS256"), ("ec", "ES256")])
def test_a_good_token_speaks_for_its_subject(issuer: Issuer, key_id: str, algorithm: str) -> None:
    found = checked(issuer, issuer.token(key_id, algorithm, scope="openid recommend catalogue"))
    assert found == Principal(f"oidc:{SUBJECT}", frozenset({Scope.RECOMMEND, Scope.CATALOGUE}))


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": None, "scp": ["ingest", "mail", 7]}, {Scope.INGEST}),
        ({"scope": "ADMIN Recommend"}, set()),
        ({"scope": 7}, set()),
        ({"scope": None}, set()),
        ({"aud": ["another", AUDIENCE]}, {Scope.RECOMMEND}),
    ],
)
def test_only_scopes_of_ours_count(issuer: Issuer, claims: dict[str, Any], scopes: set[Scope]) -> None:
    assert checked(issuer, issuer.token(**claims)).scopes == scopes


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://another.example"},
        {"iss": None},
        {"aud": "another service"},
        {"aud": None},
        {"exp": int(time.time()) - 60},
        {"exp": None},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 129},
    ],
    ids=str,
)
def test_claims_that_are_not_right_are_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    with pytest.raises(TokenRefusedError):
        checked(issuer, issuer.token(**claims))


def test_signatures_of_other_kinds_and_keys_are_refused(issuer: Issuer) -> None:
    forged = [
        signed_with_the_public_key(issuer),
        issuer.token(algorithm="none", key=""),
        issuer.token(algorithm="PS256"),
        issuer.token(algorithm="RS512"),
        issuer.token(key=rsa_key()),  # another's key under the id of the issuer's
        issuer.token("ec", "ES256", key=ec.generate_private_key(ec.SECP256R1())),
        issuer.token("rsa", "ES256", key=ec.generate_private_key(ec.SECP256R1())),
    ]
    for token in forged:
        with pytest.raises(TokenRefusedError):
            checked(issuer, token)


def signed_with_the_public_key(issuer: Issuer) -> str:
    """A token whose signature is right if the public key, which everybody knows, is taken for a secret."""
    secret = (
        issuer.keys["rsa"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa"}').rstrip(b"=")
    signed = header + b"." + issuer.token().split(".")[1].encode()
    signature = base64.urlsafe_b64encode(hmac.digest(secret, signed, "sha256")).rstrip(b"=")
    return (signed + b"." + signature).decode()


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
def test_keys_that_are_weak_or_for_encryption_sign_nothing() -> None:
    with running_issuer() as issuer:
        issuer.keys |= {"weak": rsa_key(1024), "enc": rsa_key()}
        for key_id in ("weak", "enc"):
            with pytest.raises(TokenRefusedError):
                checked(issuer, issuer.token(key_id))


def test_keys_are_fetched_once_whatever_ids_callers_think_up() -> None:
    with running_issuer() as issuer:
        clock = Clock()
        keys = Jwks(issuer.url, now=clock)

        async def many() -> list[Any]:
            checks = JwtIssuer(issuer.url, AUDIENCE, keys)
            unknown = [issuer.token(f"made-up-{k}", key=issuer.keys["rsa"]) for k in range(50)]
            return await asyncio.gather(
                *(checks.principal(token) for token in [issuer.token(), *unknown]), return_exceptions=True
            )

        good, *refused = asyncio.run(many())
        assert isinstance(good, Principal)
        assert all(isinstance(each, TokenRefusedError) for each in refused)
        assert issuer.asked == 1


def test_a_new_key_of_the_issuer_is_found_and_an_old_one_forgotten() -> None:
    with running_issuer() as issuer:
        clock = Clock()
        keys = Jwks(issuer.url, now=clock)
        old = issuer.token()
        assert checked(issuer, old, keys)
        del issuer.keys["rsa"]
        issuer.keys["new"] = rsa_key()
        clock.at = PAUSE_S
        assert checked(issuer, issuer.token("new"), keys)
        with pytest.raises(TokenRefusedError):
            checked(issuer, old, keys)


def test_a_withdrawn_key_opens_nothing_once_what_was_fetched_is_old() -> None:
    with running_issuer() as issuer:
        clock = Clock()
        keys = Jwks(issuer.url, now=clock)
        old = issuer.token()
        assert checked(issuer, old, keys)
        del issuer.keys["rsa"]
        clock.at = FRESH_S
        with pytest.raises(TokenRefusedError):
            checked(issuer, old, keys)


def test_while_the_issuer_is_away_its_keys_are_good_for_a_while_and_then_nobody_can_tell() -> None:
    with running_issuer() as issuer:
        clock = Clock()
        keys = Jwks(issuer.url, now=clock)
        assert checked(issuer, issuer.token(), keys)
        issuer.away = True
        clock.at = FRESH_S - 1
        assert checked(issuer, issuer.token(), keys)
        clock.at = FRESH_S
        with pytest.raises(IssuerAwayError):
            checked(issuer, issuer.token(), keys)
        issuer.away = False
        clock.at += PAUSE_S
        assert checked(issuer, issuer.token(), keys)


def test_the_address_of_the_keys_may_be_given() -> None:
    with running_issuer() as issuer:
        assert checked(issuer, issuer.token(), Jwks("https://never.asked.example", f"{issuer.url}/keys"))


@pytest.mark.parametrize("url", ["http://issuer.example", "ftp://127.0.0.1", "file:///etc/passwd", "issuer.example"])
def test_keys_are_never_fetched_without_tls(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Jwks(url)
    with pytest.raises(ValueError, match="https"):
        Jwks("https://issuer.example", url)
