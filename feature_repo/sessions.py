"""Sessions: what a customer is doing at an instant, from the latest interactions that the history keeps.

A session reaches back from the instant for as long as no two interactions lie more than 30 minutes apart (the usual
inactivity timeout of web analytics), for a day at most. Where the newest interaction is older than that, there is none.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo import session_loops as loops
from feature_repo.catalogue import Catalogue
from feature_repo.histories import Histories
from feature_repo.ragged import Int64
from feature_repo.row_lookup import rows_of

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sessions:
    """The sessions of ``n`` customers at an instant each, and the items they looked at in them.

    Attributes
    ----------
    events
        ``int64[n]``: interactions of the session, purchases included; 0 where there is none.
    started_at
        ``int64[n]``: the first one's time, microseconds since the epoch; 0 where there is none.
    offsets
        ``int64[n + 1]``: where each customer's items begin.
    owner, row
        ``int64[p]``: customer and catalogue row of each item viewed, clicked, put in the cart or taken out of it;
        sorted by both.
    views
        ``int64[p]``: views and clicks.
    in_cart
        ``bool[p]``: more units were put in the cart than taken out, and none bought since.
    looked_at
        ``int64[p]``: last view, click or addition to the cart; `NEVER` if there was none.
    bought_at
        ``int64[p]``: last purchase in the session; `NEVER` if there was none.
    """

    events: Int64
    started_at: Int64
    offsets: Int64
    owner: Int64
    row: Int64
    views: Int64
    in_cart: npt.NDArray[np.bool_]
    looked_at: Int64
    bought_at: Int64


def sessions(histories: Histories, catalogue: Catalogue, as_of: npt.NDArray[np.int64]) -> Sessions:
    """Return each customer's session at ``as_of: int64[n]`` microseconds; what lies after it does not count."""
    recent, lines = histories.recent, histories.lines
    events, started_at, bounds = loops.unbroken(
        recent, histories.recent_offsets, lines, histories.offsets, np.ascontiguousarray(as_of)
    )
    if not events.any():
        return _none(len(histories))
    # Only what lies between the first and the last session is looked up.
    first, last = bounds[:, ::2].min(axis=0), bounds[:, 1::2].max(axis=0)
    recent, lines = recent[first[0] : last[0]], lines[first[1] : last[1]]
    bounds -= first[[0, 0, 1, 1]]
    recent_rows, line_rows = rows_of(catalogue, recent["item"]), rows_of(catalogue, lines["item"])
    items = loops.looked_at(recent, recent_rows, lines, line_rows, bounds)
    return Sessions(events, started_at, *items)


def session_columns(found: Sessions, as_of: npt.NDArray[np.int64] | int) -> dict[str, Float64]:
    """Return the customers' columns: ``session_events`` and ``session_minutes`` since its start, ``float64[n]``."""
    minutes = (np.asarray(as_of, dtype=np.int64) - found.started_at) / 60e6
    return {
        "session_events": found.events.astype(np.float64),
        "session_minutes": np.where(found.events > 0, minutes, 0.0),
    }


def session_pair_columns(
    found: Sessions, who: Int64, candidates: Int64, catalogue: Catalogue, category: str
) -> dict[str, Float64]:
    """Return the pairs' columns: ``session_views``, ``session_in_cart`` and, with a category, its views.

    Parameters
    ----------
    who, candidates
        ``int64[c]``: customer and catalogue row of each pair.
    category
        The item attribute that is the shop's category, ``""`` for none.
    """
    names = ["session_views", "session_in_cart", *(["session_category_views"] if category else [])]
    if len(found.row) == 0:
        return {name: np.zeros(len(candidates)) for name in names}
    columns = loops.pair_columns(
        found.offsets, found.row, found.views, found.in_cart, *catalogue.codes_of([category] if category else []),
        who, candidates,
    )  # fmt: skip
    return dict(zip(names, columns, strict=False))


def _none(n: int) -> Sessions:
    zeros, nothing = np.zeros(n, dtype=np.int64), np.zeros(0, dtype=np.int64)
    offsets = np.zeros(n + 1, dtype=np.int64)
    return Sessions(zeros, zeros, offsets, nothing, nothing, nothing, np.zeros(0, dtype=bool), nothing, nothing)
