"""Lists in pages: a cursor says where the next one begins, and only who made it reads it."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Query

from serving.gateway.problems import Problem

T = TypeVar("T")

MAX_PAGE = 500

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="About how many to return; a page may hold fewer")]
Cursor = Annotated[
    str | None, Query(max_length=1024, description="`next` of the page before; leave it out for the first")
]


def to_cursor(place: Any) -> str:
    """Return a place as text that fits into a URL."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).rstrip(b"=").decode()


def from_cursor(cursor: str, kind: type[T]) -> T:
    """Return the place in a cursor.

    Raises
    ------
    Problem
        422: it is none of ours.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place: T = msgspec.msgpack.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=kind)
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Problem(
            422, "bad_cursor", f"cursor {cursor!r} is not the `next` of a page of this list; begin without one"
        ) from error
    return place
