"""An OIDC issuer's public keys, fetched when they are needed and kept for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from streams.contracts.observability import logger

log = logger(__name__)

FRESH_S = 300.0
"""After so long the keys are fetched anew: a key that the issuer has withdrawn opens nothing for longer than that."""
PAUSE_S = 10.0
"""At most one fetch in so long, whatever key ids callers think up."""
TIMEOUT_S = 5.0
MOST_BYTES = 262_144

_LOCAL = {"127.0.0.1", "::1", "localhost"}


class IssuerAwayError(Exception):
    """The issuer's keys can't be had now, so nobody can tell whether a token is its."""


class Jwks:
    """Keys by id.

    Parameters
    ----------
    issuer
        Its address; where `url` is not given, its discovery document says where the keys are.
    url
        Of the key set.
    now
        A clock that never goes back, in seconds.

    Raises
    ------
    ValueError: an address without TLS that is not this machine's own.
    """

    def __init__(self, issuer: str, url: str | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._issuer, self._url, self._now = issuer, url and trusted(url), now
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fresh_until = self._next_fetch = float("-inf")
        self._fetching = asyncio.Lock()
        trusted(issuer)

    async def key(self, key_id: str | None) -> jwt.PyJWK | None:
        """Return the key of that id; without an id, the only key there is. None where the issuer has no such key.

        Raises
        ------
        IssuerAwayError: the keys are too old, and can't be fetched.
        """
        if self._now() >= self._fresh_until or self._find(key_id) is None:
            async with self._fetching:
                await self._refresh(key_id)
        if self._now() >= self._fresh_until:
            raise IssuerAwayError(f"the keys of {self._issuer} can't be had; try again in a moment")
        return self._find(key_id)

    def _find(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def _refresh(self, key_id: str | None) -> None:
        now = self._now()
        known = now < self._fresh_until and self._find(key_id) is not None  # another caller has just fetched it
        if known or now < self._next_fetch:
            return
        self._next_fetch = now + PAUSE_S
        try:
            self._keys = await self._fetch()
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("issuer's keys not fetched", issuer=self._issuer, why=str(error) or type(error).__name__)
            return
        self._fresh_until = self._now() + FRESH_S
        log.info("issuer's keys fetched", issuer=self._issuer, keys=len(self._keys))

    async def _fetch(self) -> dict[str | None, jwt.PyJWK]:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
            url = self._url or await self._discovered(client)
            found = jwt.PyJWKSet.from_dict(await _json(client, url))
        return {key.key_id: key for key in found.keys if key.public_key_use in (None, "sig")}

    async def _discovered(self, client: httpx.AsyncClient) -> str:
        document = await _json(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self._issuer:
            raise ValueError(f"the discovery document is of issuer {document.get('issuer')!r}")
        return trusted(str(document["jwks_uri"]))


async def _json(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        answer.raise_for_status()
        body = b""
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                raise ValueError(f"{url} answers with more than {MOST_BYTES} bytes")
    document = httpx.Response(200, content=body).json()
    if not isinstance(document, dict):
        raise ValueError(f"{url} answers with something else than a JSON object")
    return document


def trusted(url: str) -> str:
    """Return the address if what it says can be believed: with TLS, or from this machine; raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL):
        return url
    raise ValueError(f"issuer address {url!r}: keys are fetched with https only (or from this machine)")
