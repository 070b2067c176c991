"""The context of a request as model inputs: where it is asked, as the shop tells it, and at what time of day and week.

A list that is made ahead (a mailing, a batch) has no place and no moment, and says so by telling no context: then all
columns are unknown, the time's too. Whoever tells a context, if only of what the shop's profile does not name, asks
for here and now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.purchases import DAY
from feature_repo.shop import Shop

NUMBERS = ("request_hour_sine", "request_hour_cosine", "request_weekday_sine", "request_weekday_cosine")
"""Midnight UTC and Monday stand at sine 0, cosine 1; 0, 0 is the middle of the circle, no time at all."""

_MONDAY = 3
"""Days from the Monday before the epoch, which was a Thursday."""


def column_name(attribute: str) -> str:
    """The column, and the vocabulary, of a context attribute."""
    return f"request_{attribute}"


def request_columns(
    shop: Shop, contexts: Sequence[Mapping[str, str]], as_of: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[Any]]:
    """Return the request group's model inputs.

    Parameters
    ----------
    contexts
        Of ``n`` requests; empty where none is told.
    as_of
        ``int64[n]``: the requests' instants, microseconds since the epoch.

    Returns
    -------
    dict
        ``request_<a>`` for each context attribute: ``object[n]`` of str, ``""`` if not told; `NUMBERS`: ``float64[n]``,
        0 where no context is told.
    """
    out: dict[str, npt.NDArray[Any]] = {}
    for attribute in shop.context_attributes:
        values = out[column_name(attribute)] = np.empty(len(contexts), dtype=object)
        values[:] = [context.get(attribute, "") for context in contexts]
    told = np.fromiter(map(bool, contexts), dtype=np.float64, count=len(contexts))
    day, within = np.divmod(as_of, DAY)
    hour, weekday = within * (2 * np.pi / DAY), (day + _MONDAY) % 7 * (2 * np.pi / 7)
    for name, value in zip(NUMBERS, (np.sin(hour), np.cos(hour), np.sin(weekday), np.cos(weekday)), strict=True):
        out[name] = value * told
    return out


def tells(columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """``bool[n]``: which requests told a context, by their columns."""
    told: npt.NDArray[np.bool_] = (columns[NUMBERS[0]] != 0) | (columns[NUMBERS[1]] != 0)
    return told
