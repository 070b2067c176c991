"""Customers' tokens: good for their customer and their time, and only if this gateway made them."""

from __future__ import annotations

import base64
import time
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from serving.gateway.security.attestation import AUDIENCE, ISSUER, LONGEST_S, Attestation, TokenRefusedError

SECRET = "s" * 32
ATTESTATION = Attestation(SecretStr(SECRET))


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token as ours, but for what is given; None leaves a claim out."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "1842", "via": "k1", "iat": now, "exp": now + 60}
    return jwt.encode(
        {name: value for name, value in (usual | claims).items() if value is not None}, secret, algorithm=algorithm
    )


def test_a_token_says_whose_events_it_lets_in_and_who_asked_for_it() -> None:
    token, ends = ATTESTATION.token("1842", 60, "k1")
    found = ATTESTATION.check(token)
    assert (found.customer_id, found.via) == ("1842", "k1")
    assert jwt.decode(token, options={"verify_signature": False})["exp"] == ends


@pytest.mark.parametrize(
    "token",
    [
        signed(exp=int(time.time()) - 1),
        signed(secret="t" * 32),
        signed(algorithm="HS512", secret=SECRET * 2),
        signed(secret="", algorithm="none"),
        signed(iss="somebody"),
        signed(aud="another service"),
        signed(via=None),
        signed(via=7),
        signed(sub=None),
        signed(sub=7),
        signed(exp=None),
        signed(iat=None),
        signed(exp="soon"),
        "",
        "a.b.c",
        "eyJhbGciOiJIUzI1NiJ9.e30.",
    ],
)
def test_any_other_is_refused(token: str) -> None:
    with pytest.raises(TokenRefusedError):
        ATTESTATION.check(token)


@pytest.mark.parametrize("text", [b"[" * 5000, b'{"a":' * 3000, b"\xff\xfe", b"1e999", b"null"])
def test_nothing_that_a_caller_may_write_breaks_the_reading(text: bytes) -> None:
    part = base64.urlsafe_b64encode(text).decode()
    header, _, signature = signed().split(".")
    for token in (f"{part}.{part}.{part}", f"{header}.{part}.{signature}"):
        with pytest.raises(TokenRefusedError):
            ATTESTATION.check(token)


def test_one_letter_changed_and_it_is_none_of_ours() -> None:
    token, _ = ATTESTATION.token("1842", 60, "k1")
    header, claims, signature = token.split(".")
    other, _ = ATTESTATION.token("1843", 60, "k1")
    for altered in (f"{header}.{other.split('.')[1]}.{signature}", f"{header}.{claims}.{signature[:-3]}AAA"):
        with pytest.raises(TokenRefusedError):
            ATTESTATION.check(altered)


@pytest.mark.parametrize("ttl_s", [0, -1, LONGEST_S + 1])
def test_no_token_lives_long(ttl_s: int) -> None:
    with pytest.raises(ValueError, match=str(LONGEST_S)):
        ATTESTATION.token("1842", ttl_s, "k1")
