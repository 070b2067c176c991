"""What the gateway answers, where no module that the gateway shares has it."""

from typing import Generic, Literal, TypeVar

import msgspec

from streams.contracts.operations import Reason

T = TypeVar("T")


Scope = Literal["ingest", "recommend", "catalogue", "admin"]
"""What a key allows: publish interactions; ask; read and write items and customers; manage keys."""


class Stored(msgspec.Struct, Generic[T], frozen=True):
    """A record and its version: give `etag` as `if_match` to write only if nobody else has meanwhile."""

    record: T
    etag: str


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """A part of a listing; `next_cursor` asks for the part after it, None at the end."""

    items: list[T]
    next_cursor: str | None = None


class Rejection(msgspec.Struct, kw_only=True):
    """Why one record of a post was not taken: its place in the list, a reason for programs, a sentence for people."""

    index: int
    reason: Reason
    detail: str


class Accepted(msgspec.Struct, kw_only=True):
    """A receipt: how many records are in Kafka, and which were not taken."""

    accepted: int
    rejected: list[Rejection] = []


class Readiness(msgspec.Struct, kw_only=True):
    """Whether the gateway can do its work.

    Attributes
    ----------
    checks
        By name `ok`, or what is wrong.
    degraded
        Names of checks that cost quality, not answers.
    model_version
        Of the live model; None without one.
    """

    ready: bool
    checks: dict[str, str]
    degraded: list[str]
    model_version: int | None


class Token(msgspec.Struct, kw_only=True):
    """A signed token with which a browser may publish events of one customer. `expires_at`: ms since the epoch."""

    token: str
    customer_id: str
    expires_at: int


class Key(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An API key as it is listed: never the key itself. Times in milliseconds since the epoch.

    Attributes
    ----------
    client
        Whose it is, for people and the audit log.
    scopes
        What it allows, see `Scope`.
    rate
        Its own limit, such as "100/second"; None: the gateway's for every key.
    """

    key_id: str
    client: str
    scopes: list[str]
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    rate: str | None = None


class NewKey(Key, kw_only=True):
    """An API key with its text, which is told this once."""

    key: str
