"""Sessions: what a customer is doing at an instant, from the latest interactions that the history keeps.

A session reaches back from the instant for as long as no two interactions lie more than 30 minutes apart (the usual
inactivity timeout of web analytics), for a day at most. Where the newest interaction is older than that, there is none.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import EventType
from feature_repo.histories import Histories
from feature_repo.purchases import DAY, Purchases
from feature_repo.ragged import Int64, group_starts, lengths_to_offsets

Float64 = npt.NDArray[np.float64]

GAP = 30 * 60_000_000
"""Microseconds without an interaction after which a session is over."""

LONGEST = DAY
"""How far back a session reaches at most, in microseconds."""

NEVER = np.iinfo(np.int64).min

_IS_VIEW = np.isin(np.arange(len(EventType)), [EventType.VIEW, EventType.CLICK])
_IS_LOOK = np.isin(np.arange(len(EventType)), [EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART])
_CART = np.zeros(len(EventType))
_CART[EventType.ADD_TO_CART], _CART[EventType.REMOVE_FROM_CART] = 1.0, -1.0
_TOUCHES = _IS_VIEW | (_CART != 0)


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
    n = len(histories)
    here = _here(histories, as_of)
    recent, recent_owner = _lately(histories.recent["time"], histories.recent_offsets, as_of, here)
    lines, line_owner = _lately(histories.lines["time"], histories.offsets, as_of, here)
    if len(recent) + len(lines) == 0:
        return _none(n)
    touches, bought = histories.recent[recent], histories.lines[lines]
    time = np.concatenate((touches["time"], bought["time"]))
    owner = np.concatenate((recent_owner, line_owner))
    inside = _unbroken(time, owner, as_of)
    events = np.bincount(owner[inside], minlength=n)
    started = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(started, owner[inside], time[inside])
    touched, paid = inside[: len(recent)], inside[len(recent) :] & (bought["quantity"] > 0)

    kind = touches["type"]
    touched &= _TOUCHES[kind]
    row = catalogue.rows(touches["item"])
    touched &= row >= 0
    touches, kind, width = touches[touched], kind[touched], len(catalogue)
    cell = recent_owner[touched] * width + row[touched]
    order = np.argsort(cell, kind="stable")
    cell, kind, at = cell[order], kind[order], touches["time"][order]
    starts = group_starts(cell)
    if len(starts) == 0:
        return replace(_none(n), events=events, started_at=np.where(events > 0, started, 0))
    cells = cell[starts]
    looked_at = np.maximum.reduceat(np.where(_IS_LOOK[kind], at, NEVER), starts)
    added_at = np.maximum.reduceat(np.where(kind == EventType.ADD_TO_CART, at, NEVER), starts)
    bought_at = _last_purchases(bought[paid], line_owner[paid], catalogue, cells)
    units = np.add.reduceat(_CART[kind] * touches["weight"][order], starts)
    whose = cells // width
    return Sessions(
        events, np.where(events > 0, started, 0), lengths_to_offsets(np.bincount(whose, minlength=n)),
        whose, cells - whose * width, np.add.reduceat(_IS_VIEW[kind].astype(np.int64), starts),
        (units > 0) & (bought_at < added_at), looked_at, bought_at,
    )  # fmt: skip


def _last_purchases(lines: Purchases, owner: Int64, catalogue: Catalogue, cells: Int64) -> Int64:
    """Return the time of the last purchase for each (customer, item) cell, `NEVER` where there is none."""
    last = np.full(len(cells), NEVER)
    if len(lines):
        cell = owner * len(catalogue) + catalogue.rows(lines["item"])
        place = np.minimum(np.searchsorted(cells, cell), len(cells) - 1)
        same = cells[place] == cell
        np.maximum.at(last, place[same], lines["time"][same])
    return last


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
    out = {name: np.zeros(len(candidates)) for name in names}
    if len(found.row) == 0:
        return out
    width = len(catalogue)
    cells, wanted = found.owner * width + found.row, who * width + candidates
    at = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
    hit = np.flatnonzero(cells[at] == wanted)
    out["session_views"][hit] = found.views[at[hit]]
    out["session_in_cart"][hit] = found.in_cart[at[hit]]
    if category:
        code = catalogue.attribute(category)
        own, looked = code[candidates].astype(np.int64), code[found.row]
        values = len(catalogue.codes[category].values)
        shelves, at = np.unique(found.owner * values + looked, return_inverse=True)
        views = np.bincount(at, found.views)
        wanted = who * values + own
        place = np.minimum(np.searchsorted(shelves, wanted), len(shelves) - 1)
        out["session_category_views"] = np.where((own > 0) & (shelves[place] == wanted), views[place], 0.0)
    return out


def _here(histories: Histories, as_of: Int64) -> list[int]:
    """Return the customers whose newest interaction is so new that a session may go on; most have none."""
    lately = as_of - GAP
    new = _newest(histories.lines["time"], histories.offsets) >= lately
    new |= _newest(histories.recent["time"], histories.recent_offsets) >= lately
    found: list[int] = np.flatnonzero(new).tolist()
    return found


def _newest(time: Int64, offsets: Int64) -> Int64:
    """Return ``int64[n]``: the time of each owner's last row, `NEVER` where there is none."""
    some = offsets[1:] > offsets[:-1]
    newest = np.full(len(some), NEVER)
    newest[some] = time[offsets[1:][some] - 1]
    return newest


def _lately(time: Int64, offsets: Int64, as_of: Int64, owners: list[int]) -> tuple[Int64, Int64]:
    """Return the places of these owners' rows of the last day, and their owners; each owner's rows are by time."""
    places, whose = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for who in owners:
        start, end = int(offsets[who]), int(offsets[who + 1])
        first, last = time[start:end].searchsorted((as_of[who] - LONGEST, as_of[who]), side="right").tolist()
        places.append(np.arange(start + first, start + last))
        whose.append(np.full(last - first, who))
    return np.concatenate(places), np.concatenate(whose)


def _unbroken(time: Int64, owner: Int64, as_of: Int64) -> npt.NDArray[np.bool_]:
    """Return ``bool[m]``: whether no pause lies between each interaction and its customer's instant."""
    order = np.lexsort((time, owner))
    time, owner = time[order], owner[order]
    next_at = as_of[owner]
    same = owner[1:] == owner[:-1]
    next_at[:-1][same] = time[1:][same]
    pauses = np.cumsum((next_at - time > GAP)[::-1])[::-1]
    last = owner.searchsorted(owner, side="right")
    later = np.append(pauses, 0)[last]  # pauses of the customers behind
    inside = np.empty(len(order), dtype=bool)
    inside[order] = pauses == later
    return inside


def _none(n: int) -> Sessions:
    zeros, nothing = np.zeros(n, dtype=np.int64), np.zeros(0, dtype=np.int64)
    offsets = np.zeros(n + 1, dtype=np.int64)
    return Sessions(zeros, zeros, offsets, nothing, nothing, nothing, np.zeros(0, dtype=bool), nothing, nothing)
