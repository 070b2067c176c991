"""Entity tags and preconditions (RFC 9110, sections 8.8 and 13): change a record only as you have seen it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header

from feature_repo.record_store import Position
from serving.gateway.problems import Problem

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_ANY = "*"


def etag(position: Position) -> str:
    """Return the tag of a record: its partition and offset in the topic that it was published on."""
    return f'"{position[0]}-{position[1]}"'


@dataclass(frozen=True)
class Preconditions:
    """What must be true of a record for a request to go ahead.

    Attributes
    ----------
    if_match
        Tags of which the record must have one, or ``*``: there must be a record.
    if_none_match
        Tags of which the record must have none, or ``*``: there must be no record.
    """

    if_match: str | None = None
    if_none_match: str | None = None

    def __bool__(self) -> bool:
        return self.if_match is not None or self.if_none_match is not None

    def check(self, name: str, current: str | None) -> None:
        """Pass where a write may go ahead.

        Parameters
        ----------
        name
            What a sentence calls the record.
        current
            Its tag; ``None`` where there is no record.

        Raises
        ------
        Problem
            412.
        """
        found = f"{name} is at {current}" if current else f"there is no {name}"
        if self.if_match is not None and not _matches(self.if_match, current, weak=False):
            raise _failed(f"If-Match is {self.if_match}, but {found}; read it again and decide anew")
        if self.if_none_match is not None and _matches(self.if_none_match, current, weak=True):
            raise _failed(f"If-None-Match is {self.if_none_match}, but {found}")

    def unchanged(self, current: str) -> bool:
        """Whether a reader already has the record with this tag."""
        return self.if_none_match is not None and _matches(self.if_none_match, current, weak=True)


async def for_writes(
    if_match: Annotated[str | None, Header(description="Tags of which the record must have one; `*`: any")] = None,
    if_none_match: Annotated[str | None, Header(description="`*`: there must be no record yet")] = None,
) -> Preconditions:
    """Take the preconditions of a write from its headers."""
    return Preconditions(if_match, if_none_match)


async def for_reads(
    if_none_match: Annotated[str | None, Header(description="Tag of the record that is at hand already")] = None,
) -> Preconditions:
    """Take the precondition of a read from its headers."""
    return Preconditions(if_none_match=if_none_match)


def _matches(wanted: str, current: str | None, *, weak: bool) -> bool:
    """Whether a header's list names the current tag; weak tags count only where `weak` says so."""
    if current is None:
        return False
    if wanted.strip() == _ANY:
        return True
    return any(tag == current for is_weak, tag in _TAG.findall(wanted) if weak or not is_weak)


def _failed(detail: str) -> Problem:
    return Problem(412, "precondition_failed", detail)
