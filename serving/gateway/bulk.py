"""Many records in one post: each is taken or refused by itself, for the reasons that dead letters have too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from serving.gateway import problems
from serving.gateway.problems import Problem
from streams.contracts.codec import decode
from streams.contracts.operations import Reason
from streams.contracts.rejection import Rejected

T = TypeVar("T")


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was not taken: its place in the post, counted from 0, why in a code, and why in a sentence."""

    index: int
    reason: Reason
    detail: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a post: how many of its records Kafka has, and which ones were not taken."""

    accepted: int
    rejected: list[Rejection] = []


def envelope(field: str) -> type[Any]:
    """Return a struct of which only one field counts: a list whose elements are left as they came, for `records_in`."""
    return msgspec.defstruct(f"Post of {field}", [(field, list[msgspec.Raw])])


def records_in(body: bytes, post: type[Any], most: int) -> list[bytes]:
    """Return the list's elements, as bytes of JSON.

    Parameters
    ----------
    post
        From `envelope`.
    most
        How many records a post may have.

    Raises
    ------
    Problem
        422: the body is no such post; 413: it has too many records.
    """
    try:
        found = decode(body, post)
    except Rejected as why:
        raise problems.rejected(why) from None
    (elements,) = msgspec.structs.astuple(found)
    if len(elements) > most:
        raise Problem(413, "too_many", f"the post has {len(elements)} records; at most {most} are taken in one")
    return [bytes(each) for each in elements]


def sorted_out(values: list[bytes], check: Callable[[bytes], T]) -> tuple[list[T], list[Rejection]]:
    """Return what `check` makes of the values that are right, and the rejections of the others."""
    taken: list[T] = []
    rejections: list[Rejection] = []
    for index, value in enumerate(values):
        try:
            taken.append(check(value))
        except Rejected as why:
            rejections.append(Rejection(index=index, reason=why.reason, detail=why.detail))
    return taken, rejections
