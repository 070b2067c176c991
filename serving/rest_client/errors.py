"""What can go wrong with a call, as exceptions that name the call, what came back and the way out."""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import Mapping
from typing import Any

import msgspec


class HeadwaterError(Exception):
    """A call to the gateway did not succeed."""


class UnreachableError(HeadwaterError):
    """The gateway could not be reached, or the connection broke before its answer was complete."""


class UnreadableError(HeadwaterError):
    """The gateway's answer is not what this client expects: is one of them of another version?"""


class RefusedError(HeadwaterError):
    """The gateway answered with a problem.

    Attributes
    ----------
    status
        HTTP status.
    code
        What it is about, for programs; "" where the answer does not say.
    detail
        A sentence for people.
    retry_after_s
        Seconds after which the gateway would rather be asked again; None where it does not say.
    problem
        The whole answer, with what else it holds (`errors`, …).
    """

    def __init__(self, call: str, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail", problem.get("title", "")))
        self.retry_after_s = retry_after_s
        self.problem = problem
        super().__init__(f"{call}: {status} {self.code}: {self.detail}")


class NotFoundError(RefusedError):
    """There is nothing of that name (404)."""


class ConflictError(RefusedError):
    """Something else was written meanwhile (409, 412): read again, then write."""


_KINDS: dict[int, type[RefusedError]] = {404: NotFoundError, 409: ConflictError, 412: ConflictError}


def refused(call: str, status: int, headers: Mapping[str, str], content: bytes) -> RefusedError:
    """The exception for an answer whose status is 400 or more."""
    try:
        problem = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):  # a proxy's page, say
        problem = {"detail": content[:200].decode(errors="replace")}
    return _KINDS.get(status, RefusedError)(call, status, problem, _seconds(headers.get("retry-after")))


def _seconds(retry_after: str | None) -> float | None:
    """Seconds from now on that a Retry-After header means: it names them, or an instant."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        at = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (at - datetime.datetime.now(datetime.UTC)).total_seconds())
