"""API keys: how they look, how they are kept, and which of them are good.

A key is ``hw_<id>_<secret>``. Its secret is shown once, to whoever made it; what is kept and published is its digest.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from limits import parse

from serving.gateway.security.principal import Principal, Scope
from streams.contracts.codec import decode, encode
from streams.contracts.compacted import Record
from streams.contracts.observability import logger
from streams.contracts.operations import ApiKey, KeySecret
from streams.contracts.rejection import Rejected

log = logger(__name__)

SECRET_BYTES = 20
"""160 random bits: nobody finds one by trying, however quick the digest is."""

PREFIX = "hw_"
PATTERN = re.compile(r"hw_([0-9a-f]{12})_([0-9a-f]{40})")
REVOKED = ":revoked"
"""A revocation is a record of its own, under the key's id and this, and never removed: what another replica writes
about the key at the same moment, a rotation, can't bring it back.
"""


class KeyRefusedError(Exception):
    """A key that opens nothing; says why."""


@dataclass(frozen=True)
class NewKey:
    """A key just made, or rotated.

    Attributes
    ----------
    record: what is published.
    text: the whole key with its secret; kept nowhere.
    """

    record: ApiKey
    text: str = field(repr=False)


def make_key(
    client: str, scopes: Collection[Scope], now: int, *, expires_at: int | None = None, rate: str | None = None
) -> NewKey:
    """Return a new key.

    Parameters
    ----------
    client
        Whose it is, for people and the audit log.
    now, expires_at
        Milliseconds since the epoch.
    rate
        The client's own limit, such as "100/second", in place of the gateway's for every key.

    Raises
    ------
    ValueError: no scope, no name, a rate that can't be read, or an end in the past.
    """
    if not scopes:
        raise ValueError(f"key for {client!r} has no scope; give one or more of {', '.join(Scope)}")
    if not client or not client.isprintable():
        raise ValueError(f"client {client!r} must be a name of printable characters")
    if rate is not None:
        check_rate(rate)
    key_id = secrets.token_hex(6)
    secret, text = _secret(key_id, now, expires_at)
    named = sorted({scope.value for scope in scopes})
    return NewKey(ApiKey(key_id=key_id, client=client, scopes=named, secrets=[secret], created_at=now, rate=rate), text)


def rotated(key: ApiKey, now: int, *, overlap: int, expires_at: int | None = None) -> NewKey:
    """Return the key with a new secret; the one before stays good for a while, so that its client can change over.

    Parameters
    ----------
    overlap
        Milliseconds for which the old secret stays good, if it would not end sooner.
    expires_at
        End of the new secret; default: it lives as long as the old one was to.

    Raises
    ------
    KeyRefusedError: it is revoked.
    ValueError: an end in the past.
    """
    if key.revoked_at is not None:
        raise KeyRefusedError(f"key {key.key_id} is revoked; make a new one")
    before = key.secrets[0]
    if expires_at is None and before.expires_at is not None:
        expires_at = now + before.expires_at - before.created_at
    secret, text = _secret(key.key_id, now, expires_at)
    until = now + overlap if before.expires_at is None else min(now + overlap, before.expires_at)
    old = KeySecret(digest=before.digest, created_at=before.created_at, expires_at=until)
    return NewKey(_with(key, [secret, old] if until > now else [secret]), text)


def record_of(key: ApiKey) -> tuple[bytes, bytes]:
    """Return a key as a record of the topic `api-keys`: its key and value."""
    return key.key_id.encode(), encode(key)


def revocation_of(key: ApiKey, now: int) -> tuple[bytes, bytes]:
    """Return the record that revokes a key, for good."""
    return (key.key_id + REVOKED).encode(), encode(_with(key, [], revoked_at=now))


def check_rate(rate: str) -> str:
    """Return a rate that `limits` can read, such as "100/second"; raises ValueError."""
    try:
        if parse(rate).amount < 1:
            raise ValueError
    except ValueError:
        raise ValueError(f"rate {rate!r} can't be read; write it like 100/second or 5000/hour") from None
    return rate


def expires_at(key: ApiKey) -> int | None:
    """Return when the newest secret ends, milliseconds since the epoch; None: never."""
    return key.secrets[0].expires_at if key.secrets else None


class KeyTable:
    """All keys as the topic tells; one thread applies records, any may ask."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}
        self._revoked: dict[str, ApiKey] = {}

    def apply(self, records: Iterable[Record]) -> None:
        """Take records in. One that is not understood opens nothing, and what was there under its id neither."""
        for record in records:
            name = record.key.decode(errors="replace")
            key = _read(name, record)
            table = self._revoked if name.endswith(REVOKED) else self._keys
            key_id = name.removesuffix(REVOKED)
            if key is not None:
                table[key_id] = key
            elif table is self._keys:
                table.pop(key_id, None)

    def all(self) -> list[ApiKey]:
        """Every key, revoked ones too, oldest first."""
        ids = self._keys.keys() | self._revoked.keys()
        return sorted(
            (key for key_id in ids if (key := self.get(key_id))), key=lambda key: (key.created_at, key.key_id)
        )

    def get(self, key_id: str) -> ApiKey | None:
        """The key of that id, revoked or not; None for an unknown one."""
        return self._revoked.get(key_id) or self._keys.get(key_id)

    def good(self, key_id: str, now: int) -> ApiKey | None:
        """The key of that id if some secret of it is good now, milliseconds since the epoch."""
        key = self.get(key_id)
        return key if key is not None and key.revoked_at is None and any(_lives(s, now) for s in key.secrets) else None

    def holder(self, text: str, now: int) -> Principal:
        """Return who presents a key.

        Parameters
        ----------
        text: the whole key.
        now: milliseconds since the epoch.

        Raises
        ------
        KeyRefusedError: it is unknown, wrong, revoked or expired.
        """
        found = PATTERN.fullmatch(text)
        key = self.get(found[1]) if found else None
        presented = digest(text)
        # Every digest there is is compared, and one where there is none: time tells nothing of what is known.
        kept = key.secrets if key is not None and key.secrets else [_NO_SECRET]
        matching = [secret for secret in kept if hmac.compare_digest(secret.digest, presented)]
        if key is not None and key.revoked_at is not None:
            raise KeyRefusedError(f"API key {key.key_id} is revoked")
        if key is None or not matching:
            raise KeyRefusedError("the API key is not known here")
        if not _lives(matching[0], now):
            raise KeyRefusedError(f"API key {key.key_id} has expired, or was rotated; ask its maker for a new one")
        return Principal(key.key_id, _scopes(key), rate=key.rate)


def digest(text: str) -> str:
    """Return what is kept of a key: the SHA-256 of its text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


_NO_SECRET = KeySecret(digest=digest(""), created_at=0)


def _secret(key_id: str, now: int, expires_at: int | None) -> tuple[KeySecret, str]:
    if expires_at is not None and expires_at <= now:
        raise ValueError(f"the key would end at {expires_at} ms, which is past; it must end after {now} ms")
    text = f"{PREFIX}{key_id}_{secrets.token_hex(SECRET_BYTES)}"
    return KeySecret(digest=digest(text), created_at=now, expires_at=expires_at), text


def _with(key: ApiKey, kept: Sequence[KeySecret], revoked_at: int | None = None) -> ApiKey:
    return ApiKey(
        key_id=key.key_id,
        client=key.client,
        scopes=key.scopes,
        secrets=list(kept),
        created_at=key.created_at,
        rate=key.rate,
        revoked_at=revoked_at,
    )


def _read(name: str, record: Record) -> ApiKey | None:
    if not record.value:
        return None
    try:
        key = decode(record.value, ApiKey)
    except Rejected as error:
        log.error("key not understood, so it opens nothing", key_id=name, offset=record.offset, why=str(error))
        return None
    return key if key.key_id == name.removesuffix(REVOKED) else None


def _lives(secret: KeySecret, now: int) -> bool:
    return secret.expires_at is None or now < secret.expires_at


def _scopes(key: ApiKey) -> frozenset[Scope]:
    """What a key opens; a scope of another version of the program opens nothing."""
    known = {scope.value: scope for scope in Scope}
    return frozenset(known[name] for name in key.scopes if name in known)
