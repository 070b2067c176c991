"""Calls on the gateway itself: whether it is ready, and who may do what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from serving.rest_client.answers import Key, NewKey, Readiness, Scope, Token
from serving.rest_client.call import Call, answer, nothing, target
from streams.contracts.codec import encode


class _Keys(msgspec.Struct):
    keys: list[Key]


def ready() -> Call[Readiness]:
    """Whether the gateway can do its work, and what is wrong where it can't; needs no key."""
    return Call("GET", target("health", "ready"), answer(Readiness), also=frozenset({503}))


def token(customer_id: str, *, ttl_s: int = 900) -> Call[Token]:
    """A token with which a browser may publish this customer's events, and nobody else's, for `ttl_s` seconds."""
    return Call("POST", target("tokens"), answer(Token), _given(customer_id=customer_id, ttl_s=ttl_s))


def keys() -> Call[list[Key]]:
    """Every API key that there is or was, the oldest first, without the keys themselves."""
    return Call("GET", target("keys"), lambda headers, content: msgspec.json.decode(content, type=_Keys).keys)


def create_key(
    client: str, scopes: Sequence[Scope], *, expires_in_s: int | None = None, rate: str | None = None
) -> Call[NewKey]:
    """A new key for a client; its text is in this answer only. Not sent again where the connection breaks.

    Parameters
    ----------
    client
        Whose it is, for people and the audit log.
    expires_in_s
        Seconds for which it is good; None: until it is revoked.
    rate
        A limit of its own, such as "100/second".
    """
    asked = _given(client=client, scopes=list(scopes), expires_in_s=expires_in_s, rate=rate)
    return Call("POST", target("keys"), answer(NewKey), asked, repeatable=False)


def rotate_key(key_id: str, *, overlap_s: int = 86_400, expires_in_s: int | None = None) -> Call[NewKey]:
    """Another secret for a key; the old one stays good for a while. Not sent again where the connection breaks."""
    asked = _given(overlap_s=overlap_s, expires_in_s=expires_in_s)
    return Call("POST", target("keys", key_id, "rotate"), answer(NewKey), asked, repeatable=False)


def revoke_key(key_id: str) -> Call[None]:
    """Shut a key out, for good, with all customers' tokens that it asked for."""
    return Call("DELETE", target("keys", key_id), nothing)


def _given(**fields: Any) -> bytes:
    """A body of the fields that are not None."""
    return encode({name: value for name, value in fields.items() if value is not None})
