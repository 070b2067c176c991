"""Who may do what at the gateway: keys, tokens and limits of one replica, behind one door."""

from __future__ import annotations

import functools
import ipaddress
import math
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import jwt

from serving.gateway.problems import Problem, unavailable
from serving.gateway.security.attestation import ALGORITHM, UNREADABLE, Attestation, TokenRefusedError
from serving.gateway.security.jwks import IssuerAwayError, Jwks
from serving.gateway.security.jwt_issuer import JwtIssuer
from serving.gateway.security.keys import PREFIX, KeyRefusedError, KeyTable, check_rate
from serving.gateway.security.keys_follower import KeysFollower
from serving.gateway.security.principal import Principal, Scope, unauthenticated
from serving.gateway.security.rate_limits import RateLimits
from serving.gateway.settings import GatewaySettings

LONGEST_CREDENTIAL = 8192
ANYBODY = Principal("open", frozenset(Scope))
"""Who calls a gateway that was started open, for development."""

_SEND = "send Authorization: Bearer <API key or token>"


class Security:
    """Knows callers by what they present, and counts their calls.

    Attributes
    ----------
    keys
        All keys, kept in step with the topic `api-keys`.
    attestation
        Makes customers' tokens; None where no secret is configured.

    Raises
    ------
    ValueError: a rate or an issuer's address that can't be used, or an issuer without an audience.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self.keys = KeyTable()
        secret = settings.gateway_token_secret
        self.attestation = Attestation(secret) if secret is not None else None
        self._follower = KeysFollower(self.keys, settings.topics.api_keys, settings.kafka_config())
        self._issuer = _issuer(settings)
        self._limits = RateLimits(settings.redis_url)
        self._open = settings.gateway_open
        self._rate_per_key = check_rate(settings.gateway_rate_per_key)
        self._rate_per_customer = check_rate(settings.gateway_rate_per_customer)

    def start(self) -> None:
        """Load the keys, then follow them; raises as `KeysFollower.start`."""
        self._follower.start()

    def stop(self) -> None:
        """Leave Kafka."""
        self._follower.stop()

    async def close(self) -> None:
        """Leave Redis; in the event loop that asked."""
        await self._limits.close()

    async def authenticate(self, authorization: Sequence[str], api_key: Sequence[str], host: str) -> Principal:
        """Return who calls.

        Parameters
        ----------
        authorization, api_key, host
            The values of the headers Authorization, X-API-Key and Host.

        Raises
        ------
        Problem: 401 for nobody that is known, 503 where the issuer's keys can't be had.
        """
        if self._open:
            _check_host(host)
            return ANYBODY
        credential = _credential(authorization, api_key)
        try:
            if credential.startswith(PREFIX):
                return self.keys.holder(credential, _now_ms())
            return await self._token_holder(credential)
        except (KeyRefusedError, TokenRefusedError) as error:
            raise unauthenticated(str(error)) from None
        except IssuerAwayError as error:
            raise unavailable(str(error), after_s=10) from None

    async def _token_holder(self, token: str) -> Principal:
        # Which of the two it claims to be decides only who checks it: each has one kind of key and of signature.
        if _algorithm(token) == ALGORITHM:
            if self.attestation is None:
                raise TokenRefusedError("this gateway takes no customers' tokens (HEADWATER_GATEWAY_TOKEN_SECRET)")
            attested = self.attestation.check(token)
            self._check_origin(attested.via)
            return Principal(f"customer:{attested.customer_id}", frozenset({Scope.INGEST}), attested.customer_id)
        if self._issuer is None:
            raise TokenRefusedError("the credential is no API key, and no issuer of other tokens is configured here")
        return await self._issuer.principal(token)

    def _check_origin(self, via: str) -> None:
        """A key that is revoked or expired, or has lost its scope, takes the tokens that it asked for with it."""
        if via.startswith("oidc:") and self._issuer is not None:
            return
        key = self.keys.good(via, _now_ms())
        if key is None or Scope.INGEST not in key.scopes:
            raise TokenRefusedError("the key that asked for this token is good no longer")

    async def key_limit(self, principal: Principal) -> None:
        """Count a call of the principal; raises Problem 429 beyond its rate."""
        if principal.customer_id is not None:
            await self._count("token", principal.id, self._rate_per_customer)
        else:
            await self._count("key", principal.id, principal.rate or self._rate_per_key)

    async def customer_limit(self, principal: Principal, customer_id: str) -> None:
        """Count a call about a customer, whoever makes it; raises Problem 429 beyond the rate of a customer."""
        await self._count("customer", customer_id, self._rate_per_customer)

    async def _count(self, kind: str, who: str, rate: str) -> None:
        if self._open:
            return
        wait_s = await self._limits.wait(kind, who, rate)
        if wait_s:
            after = str(math.ceil(wait_s))
            raise Problem(
                429,
                "too_many_requests",
                f"more than {rate} for this {kind}; come again in {after} s",
                headers={"Retry-After": after},
            )


def _issuer(settings: GatewaySettings) -> JwtIssuer | None:
    if settings.oidc_issuer is None:
        return None
    if settings.oidc_audience is None:
        raise ValueError(
            "HEADWATER_OIDC_ISSUER is set and HEADWATER_OIDC_AUDIENCE is not: tokens that were made for another "
            "service would be good here; set both"
        )
    keys = Jwks(settings.oidc_issuer, settings.oidc_jwks_url)
    return JwtIssuer(settings.oidc_issuer, settings.oidc_audience, keys)


def _check_host(host: str) -> None:
    """An open gateway is for this machine: a page elsewhere whose name leads here is not, though the browser is."""
    if not _local(host):
        raise Problem(403, "not_local", f"this gateway is open to this machine only, not as {host!r}")


@functools.lru_cache(maxsize=256)
def _local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _credential(authorization: Sequence[str], api_key: Sequence[str]) -> str:
    """The one credential that a request presents."""
    given = [*authorization, *api_key]
    if not given:
        raise unauthenticated(f"the request names no caller; {_SEND}")
    if len(given) > 1:
        raise unauthenticated(f"the request has {len(given)} credentials; {_SEND}, once")
    if authorization:
        scheme, _, credential = authorization[0].partition(" ")
        if scheme.lower() != "bearer":
            raise unauthenticated(f"the scheme of Authorization must be Bearer; {_SEND}")
    else:
        credential = api_key[0]
    credential = credential.strip()
    if not credential or len(credential) > LONGEST_CREDENTIAL:
        raise unauthenticated(f"a credential has 1 to {LONGEST_CREDENTIAL} characters; {_SEND}")
    return credential


def _algorithm(token: str) -> object:
    try:
        return jwt.get_unverified_header(token).get("alg")
    except UNREADABLE:
        raise TokenRefusedError("the credential is neither an API key nor a token") from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
