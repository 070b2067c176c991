"""A call as data: what to send and how to read what comes back, for any transport."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from serving.rest_client.answers import Stored
from serving.rest_client.errors import UnreadableError

T = TypeVar("T")

Pairs = Iterable[tuple[str, Any]]
"""Names and values of a query, in order: None and empty lists are left out, lists repeat the name."""

Read = Callable[[Mapping[str, str], bytes], T]
"""From an answer's headers (names in lower case) and body to what the caller gets."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call of the gateway.

    Attributes
    ----------
    target
        Path and query, percent-encoded.
    read
        Makes the result of an answer below 400; raises a `msgspec.MsgspecError` where it cannot.
    body
        JSON, or None.
    repeatable
        Whether doing it twice is the same as doing it once, so that it may be sent again where it is not known
        whether the gateway has done it.
    also
        Statuses of 400 or more with which the result comes too.
    """

    method: str
    target: str
    read: Read[T]
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    also: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f"{self.method} {self.target}"

    def result(self, headers: Mapping[str, str], content: bytes) -> T:
        """Read an answer; raises `UnreadableError` where it is not what was expected."""
        try:
            return self.read(headers, content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UnreadableError(
                f"{self}: the answer {content[:200]!r} is not what this client expects ({error}); "
                "is one of gateway and client of another version?"
            ) from error


def target(*segments: str, query: Pairs = ()) -> str:
    """A path of these segments, each percent-encoded whole, and its query.

    Raises
    ------
    ValueError
        A segment that no path can hold: empty, `.`, `..`, or with a slash.
    """
    for segment in segments:
        if segment in ("", ".", "..") or "/" in segment:
            raise ValueError(f"id {segment!r} cannot stand in a path; use the call for many, or Kafka")
    text = urlencode([pair for name, value in query for pair in _pairs(name, value)])
    return "/" + "/".join(quote(segment, safe="") for segment in segments) + (f"?{text}" if text else "")


def answer(kind: type[T]) -> Read[T]:
    """Return a reader of a JSON body."""
    return lambda headers, content: msgspec.json.decode(content, type=kind)


def stored(kind: type[T]) -> Read[Stored[T]]:
    """Return a reader of a record and the version that its ETag names."""
    return lambda headers, content: Stored(msgspec.json.decode(content, type=kind), headers.get("etag", ""))


def nothing(headers: Mapping[str, str], content: bytes) -> None:
    """Read an answer whose status says all."""


def conditions(if_match: str | None = None, if_none_match: str | None = None) -> dict[str, str]:
    """Headers that make a write depend on what is there."""
    return {name: tag for name, tag in (("If-Match", if_match), ("If-None-Match", if_none_match)) if tag is not None}


def named(idempotency_key: str | None) -> dict[str, str]:
    """Headers of a post that is known when it comes again."""
    return {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    if value is None:
        return []
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    if isinstance(value, Mapping):
        return [(name, f"{key}:{each}") for key, each in value.items()]
    if isinstance(value, str | int | float):
        return [(name, str(value))]
    return [(name, str(each)) for each in value]
