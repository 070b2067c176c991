"""Tokens of an OIDC issuer, in place of API keys: people and services that the shop's own login knows."""

from __future__ import annotations

from typing import Any

import jwt

from serving.gateway.security.attestation import UNREADABLE, TokenRefusedError
from serving.gateway.security.jwks import Jwks
from serving.gateway.security.principal import Principal, Scope

ALGORITHMS = ("RS256", "ES256")
"""Signatures with a public key only: `none`, and secrets that callers could know, are out."""

LEEWAY_S = 10
"""Clocks may differ by so much."""

LONGEST_SUBJECT = 128
_REQUIRED = ["exp", "iat", "iss", "aud", "sub"]


class JwtIssuer:
    """Checks tokens: signature, issuer, audience, times.

    A token's scopes are those of ours that its claim `scope` (a string of words) or `scp` (a list) names.

    Parameters
    ----------
    issuer, audience
        What `iss` must be, and `aud` contain.
    keys
        The issuer's public keys.
    """

    def __init__(self, issuer: str, audience: str, keys: Jwks) -> None:
        self._issuer, self._audience, self._keys = issuer, audience, keys

    async def principal(self, token: str) -> Principal:
        """Return who a token speaks for.

        Raises
        ------
        TokenRefusedError: it is not good here.
        IssuerAwayError: nobody can tell now.
        """
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise TokenRefusedError(f"the token must be signed with {' or '.join(ALGORITHMS)}")
            key = await self._keys.key(header.get("kid"))
            if key is None:
                raise TokenRefusedError(f"the token's key is none of {self._issuer}")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"require": _REQUIRED, "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRefusedError("the token has expired") from None
        except jwt.InvalidAudienceError:
            raise TokenRefusedError(f"the token is not meant for {self._audience}") from None
        except jwt.InvalidIssuerError:
            raise TokenRefusedError(f"the token is not of {self._issuer}") from None
        except UNREADABLE:
            raise TokenRefusedError("the token can't be read, or its signature is wrong") from None
        return Principal(f"oidc:{_subject(claims)}", _scopes(claims))


def _subject(claims: dict[str, Any]) -> str:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise TokenRefusedError(f"the token's subject must be 1 to {LONGEST_SUBJECT} printable characters")
    return subject


def _scopes(claims: dict[str, Any]) -> frozenset[Scope]:
    named = claims.get("scope", claims.get("scp", ""))
    words = named.split() if isinstance(named, str) else named if isinstance(named, list) else []
    known = {scope.value: scope for scope in Scope}
    return frozenset(known[word] for word in words if isinstance(word, str) and word in known)
