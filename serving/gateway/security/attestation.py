"""Attested tokens: with one, a customer's browser may post that customer's events, for a short while, and nothing else.

The shop, which knows who is logged in, asks for a token and hands it to the page. It is a JWT signed with the gateway's
own secret (HMAC-SHA256), so every replica with that secret can check it and none must remember it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import jwt
from pydantic import SecretStr

ALGORITHM = "HS256"
ISSUER = "headwater"
AUDIENCE = "headwater:own-events"

LONGEST_S = 3600
DEFAULT_S = 900

UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, RecursionError)
"""What reading a token may raise: callers choose its bytes, and how deeply its JSON is nested."""

_REQUIRED = ["exp", "iat", "iss", "aud", "sub", "via"]


class TokenRefusedError(Exception):
    """A token that opens nothing; says why."""


@dataclass(frozen=True)
class Attested:
    """What a good token says.

    Attributes
    ----------
    customer_id: whose events it lets in.
    via: id of the principal who asked for it; a key that is revoked takes its tokens with it.
    """

    customer_id: str
    via: str


class Attestation:
    """Makes and checks tokens.

    Parameters
    ----------
    secret
        At least 32 bytes, the same in every replica. A new one ends all tokens; who had one asks for another.
    """

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret

    def token(self, customer_id: str, ttl_s: int, via: str) -> tuple[str, int]:
        """Return a token and when it ends, seconds since the epoch.

        Raises
        ------
        ValueError: it would live longer than an hour, or not at all.
        """
        if not 1 <= ttl_s <= LONGEST_S:
            raise ValueError(f"a token lives 1 to {LONGEST_S} seconds, not {ttl_s}")
        made = int(time.time())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": customer_id, "via": via, "iat": made, "exp": made + ttl_s
        }  # fmt: skip
        return jwt.encode(claims, self._secret.get_secret_value(), algorithm=ALGORITHM), made + ttl_s

    def check(self, token: str) -> Attested:
        """Return what a token says.

        Raises
        ------
        TokenRefusedError: it is none of ours, altered, or past its end.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secret.get_secret_value(),
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={"require": _REQUIRED},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRefusedError("the token has expired; ask POST /tokens for another") from None
        except UNREADABLE:
            raise TokenRefusedError("the token is not one of this gateway's") from None
        if not isinstance(claims["via"], str):
            raise TokenRefusedError("the token is not one of this gateway's")
        return Attested(claims["sub"], claims["via"])
