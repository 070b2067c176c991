"""Instants in a query: RFC 3339 with a zone, or milliseconds since the epoch."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import msgspec
from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema

from serving.inbox import LATEST_AS_OF
from streams.contracts.events import microseconds

_ZONED = Annotated[datetime.datetime, msgspec.Meta(tz=True)]
_DAY = r"((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
_RFC_3339 = rf"^(197[1-9]|19[89][0-9]|20[0-9][0-9]|21[0-8][0-9])-{_DAY}T{_TIME}(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])$"


def instant(value: Any) -> Any:
    """Microseconds since the epoch of what a query says; None stays None.

    Raises ValueError for what is no instant between 1970 and 2200.
    """
    if not isinstance(value, str):
        return value
    if value.isascii() and value.isdigit():
        at = int(value) * 1000 if len(value) < 16 else LATEST_AS_OF + 1
    else:
        try:
            at = microseconds(msgspec.convert(value, _ZONED))
        except msgspec.ValidationError:
            raise ValueError(f"{value[:40]!r} is neither RFC 3339 with a zone nor milliseconds since 1970") from None
    if not 0 <= at <= LATEST_AS_OF:
        raise ValueError(f"{value[:40]!r} does not lie between 1970 and 2200")
    return at


AsOf = Annotated[
    int | None,
    BeforeValidator(instant),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": LATEST_AS_OF // 1000},
                {"type": "string", "pattern": _RFC_3339},
            ]
        }
    ),
    Query(description="Answer for this instant: RFC 3339 with a zone, or milliseconds since 1970. Default: now."),
]
"""A query parameter; the handler gets microseconds since the epoch, or None."""
