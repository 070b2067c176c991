"""Customer x item and customer x category affinities, computed from the customer's kept history.

What repeat purchases follow is rhythm: how often, how regularly and how long ago a customer bought this item, and
how much of what they buy lies near it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import EventType
from feature_repo.purchases import DAY, Purchases, kept
from feature_repo.ragged import Int64, group_ends, group_starts, lengths_to_offsets, owners
from feature_repo.rfm import NEVER_DAYS
from feature_repo.shop import Shop

Float64 = npt.NDArray[np.float64]

SHORT_DAYS, LONG_DAYS = 20.0, 90.0
"""Time constants of the decayed counts, in days."""

RHYTHM_LIMIT = 10.0
"""Largest ratio of the time since the last purchase to the usual interval."""

ENGAGEMENT = {
    EventType.VIEW: 1.0,
    EventType.CLICK: 1.0,
    EventType.ADD_TO_CART: 3.0,
    EventType.REMOVE_FROM_CART: -3.0,
    EventType.RATING: 1.0,
}
"""Weight of an interaction that is no purchase; it decays by a day."""


_NOT_HELD = {"pair_recency_days": NEVER_DAYS, "pair_rhythm": -1.0}
"""What is said of an item that the customer does not hold, where that isn't 0."""


@dataclass(frozen=True)
class Histories:
    """What is known of ``n`` customers' interactions, oldest first.

    Attributes
    ----------
    lines, offsets
        ``PURCHASE[m]`` in canonical order and ``int64[n + 1]``, before returns are matched.
    recent, recent_offsets
        ``RECENT[k]`` and ``int64[n + 1]``.
    """

    lines: Purchases
    offsets: Int64
    recent: npt.NDArray[Any]
    recent_offsets: Int64

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True)
class KeptLines:
    """Lines of known items of which something is left: ``int64[l]`` each, and weights by age, ``float64[l]``."""

    owner: Int64
    row: Int64
    time: Int64
    weight_20: Float64
    weight_90: Float64


@dataclass(frozen=True)
class ItemAffinities:
    """Every (customer, item) pair of which the customer holds a purchase, sorted by customer, then catalogue row.

    Attributes
    ----------
    owner, row
        ``int64[p]``: customer and catalogue row.
    offsets
        ``int64[n + 1]``: where each customer's pairs begin.
    lines, days
        ``int64[p]``: purchase lines, and UTC days with one.
    first_at, last_at
        ``int64[p]``: microseconds since the epoch.
    decayed_20, decayed_90
        ``float64[p]``: sum of exp(-age / 20 d) and exp(-age / 90 d) over the lines.
    rank
        ``int64[p]``: 0 for the customer's item of the largest ``decayed_90``; ties by catalogue row.
    trips_since
        ``int64[p]``: the customer's shopping days after the last one with this item.
    shopping_days
        ``int64[n]``: the customer's UTC days with a purchase.
    kept
        The lines that all this was computed from.
    """

    owner: Int64
    row: Int64
    offsets: Int64
    lines: Int64
    days: Int64
    first_at: Int64
    last_at: Int64
    decayed_20: Float64
    decayed_90: Float64
    rank: Int64
    trips_since: Int64
    shopping_days: Int64
    kept: KeptLines


def item_affinities(histories: Histories, catalogue: Catalogue, as_of: npt.NDArray[np.int64]) -> ItemAffinities:
    """Return what each customer's history says of each item in it, at ``as_of: int64[n]`` microseconds."""
    return _item_affinities(_kept(histories, catalogue, as_of), len(histories))


def _kept(histories: Histories, catalogue: Catalogue, as_of: npt.NDArray[np.int64]) -> KeptLines:
    lines, offsets, _, _ = kept(histories.lines, histories.offsets)
    row, owner = catalogue.rows(lines["item"]), owners(offsets)
    known = row >= 0
    if not known.all():
        lines, row, owner = lines[known], row[known], owner[known]
    time = np.ascontiguousarray(lines["time"])
    age = np.maximum(as_of[owner] - time, 0) / DAY
    return KeptLines(owner, row, time, np.exp(-age / SHORT_DAYS), np.exp(-age / LONG_DAYS))


def _item_affinities(k: KeptLines, n: int) -> ItemAffinities:
    width = int(k.row.max()) + 1 if len(k.row) else 1
    order = np.argsort(k.owner * width + k.row, kind="stable")  # lines stay in the order of time within a pair
    owner, row, time = k.owner[order], k.row[order], k.time[order]
    day = time // DAY
    pair, pair_day = group_starts(owner, row), group_starts(owner, row, day)
    ends = group_ends(pair, len(row))

    trip_day, trip_owner = k.time // DAY, k.owner
    trips = group_starts(trip_owner, trip_day)
    trip_owner, trip_day = trip_owner[trips], trip_day[trips]
    trip_offsets = lengths_to_offsets(np.bincount(trip_owner, minlength=n))
    pair_owner, last_at = owner[pair], time[ends - 1]
    base = int(trip_day.min()) if len(trip_day) else 0
    span = int(trip_day.max()) - base + 1 if len(trip_day) else 1
    after = np.searchsorted(
        trip_owner * span + (trip_day - base), pair_owner * span + (last_at // DAY - base), side="right"
    )

    decayed_90 = np.add.reduceat(k.weight_90[order], pair) if len(pair) else np.zeros(0)
    offsets = lengths_to_offsets(np.bincount(pair_owner, minlength=n))
    rank = np.empty(len(pair), dtype=np.int64)
    by_weight = np.lexsort((row[pair], -decayed_90, pair_owner))
    rank[by_weight] = np.arange(len(pair)) - offsets[pair_owner]
    return ItemAffinities(
        owner=pair_owner, row=row[pair], offsets=offsets, lines=ends - pair,
        days=np.diff(np.searchsorted(pair_day, np.append(pair, len(row)))),
        first_at=time[pair], last_at=last_at,
        decayed_20=np.add.reduceat(k.weight_20[order], pair) if len(pair) else np.zeros(0), decayed_90=decayed_90,
        rank=rank, trips_since=trip_offsets[pair_owner + 1] - after, shopping_days=np.diff(trip_offsets), kept=k,
    )  # fmt: skip


def affinity(
    shop: Shop,
    histories: Histories,
    candidates: Int64,
    candidate_offsets: Int64,
    catalogue: Catalogue,
    as_of: npt.NDArray[np.int64],
    ready: ItemAffinities | None = None,
) -> dict[str, Float64]:
    """Return the pair columns of each customer's candidates that follow from purchases and engagement.

    Parameters
    ----------
    shop
        Names the category and the attributes whose shares are wanted.
    histories
        Of ``n`` customers.
    candidates, candidate_offsets
        ``int64[c]`` catalogue rows, ``int64[n + 1]``.
    as_of
        ``int64[n]``, microseconds since the epoch.
    ready
        What `item_affinities` returned for the same, where it is at hand.

    Returns
    -------
    dict of float64[c]
        ``pair_lines``, ``pair_days``, ``pair_share_of_days`` (of the customer's shopping days), ``pair_recency_days``,
        ``pair_interval_days`` (mean days between purchases; 0 with fewer than two), ``pair_rhythm`` (recency over
        interval, at most 10; -1 without an interval), ``pair_trips_since``, ``pair_decayed_{20,90}``,
        ``pair_reciprocal_rank`` (1 / (1 + rank by decayed_90); 0 if never bought), ``pair_engagement`` (recent views,
        clicks and carts, decayed by a day); with a category ``category_lines``, ``category_recency_days``,
        ``category_reciprocal_rank``; and ``share_of_<attribute>``: the share of the customer's purchases, decayed by
        90 days, that have the candidate's value.
    """
    who = owners(candidate_offsets)
    affinities = item_affinities(histories, catalogue, as_of) if ready is None else ready
    k = affinities.kept
    out = _pair_columns(affinities, who, candidates, as_of)
    out["pair_engagement"] = _engagement(histories, catalogue, who, candidates, as_of)
    if shop.category:
        out |= _category_columns(k, len(histories), who, candidates, catalogue, shop.category, as_of)
    total: Float64 = np.bincount(k.owner, k.weight_90, len(histories)).astype(np.float64)
    for attribute in shop.preference_attributes:
        out[f"share_of_{attribute}"] = _share(k, total, who, candidates, catalogue, attribute)
    return out


def _pair_columns(a: ItemAffinities, who: Int64, candidates: Int64, as_of: Int64) -> dict[str, Float64]:
    width = int(max(candidates.max(initial=0), a.row.max(initial=0))) + 1
    pairs, wanted = a.owner * width + a.row, who * width + candidates
    at = np.minimum(np.searchsorted(pairs, wanted), max(len(pairs) - 1, 0))
    found = pairs[at] == wanted if len(pairs) else np.zeros(len(wanted), dtype=bool)

    recency = np.maximum(as_of[a.owner] - a.last_at, 0) / DAY
    interval = (a.last_at - a.first_at) / DAY / np.maximum(a.days - 1, 1)
    regular = a.days > 1
    rhythm = np.where(regular, np.minimum(recency / np.maximum(interval, 1e-9), RHYTHM_LIMIT), -1.0)
    known = {
        "pair_lines": a.lines,
        "pair_days": a.days,
        "pair_share_of_days": a.days / np.maximum(a.shopping_days[a.owner], 1),
        "pair_recency_days": recency,
        "pair_interval_days": np.where(regular, interval, 0.0),
        "pair_rhythm": rhythm,
        "pair_trips_since": a.trips_since,
        "pair_decayed_20": a.decayed_20,
        "pair_decayed_90": a.decayed_90,
        "pair_reciprocal_rank": 1.0 / (1.0 + a.rank),
    }
    # One row of each pair that is held, and behind them what is said of one that is not: all columns picked at once.
    table = np.empty((len(known), len(pairs) + 1))
    for column, (name, values) in zip(table, known.items(), strict=True):
        column[:-1], column[-1] = values, _NOT_HELD.get(name, 0.0)
    return dict(zip(known, table[:, np.where(found, at, len(pairs))], strict=True))


def _engagement(histories: Histories, catalogue: Catalogue, who: Int64, candidates: Int64, as_of: Int64) -> Float64:
    if len(histories.recent) == 0:
        return np.zeros(len(candidates))
    row, owner = catalogue.rows(histories.recent["item"]), owners(histories.recent_offsets)
    weight = np.zeros(len(EventType))
    weight[list(ENGAGEMENT)] = list(ENGAGEMENT.values())
    age = np.maximum(as_of[owner] - histories.recent["time"], 0) / DAY
    value = weight[histories.recent["type"]] * np.exp(-age)
    width = len(catalogue) + 1
    cells, at = np.unique(owner * width + row + 1, return_inverse=True)
    sums = np.bincount(at, value)
    wanted = who * width + candidates + 1
    place = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
    return np.where(cells[place] == wanted, np.maximum(sums[place], 0.0), 0.0)


def _category_columns(
    k: KeptLines, n: int, who: Int64, candidates: Int64, catalogue: Catalogue, category: str, as_of: Int64
) -> dict[str, Float64]:
    code = catalogue.attribute(category)
    width = len(catalogue.codes[category].values)
    own = code[candidates].astype(np.int64)
    cell, wanted = k.owner * width + code[k.row], who * width + own
    lines = np.bincount(cell, minlength=n * width)
    last = np.zeros(n * width, dtype=np.int64)
    last[cell] = k.time  # ordered by time: the last assignment wins
    weight = np.bincount(cell, k.weight_90, n * width)
    cells = np.flatnonzero(lines)
    owner = cells // width
    order = np.lexsort((cells, -weight[cells], owner))
    first = lengths_to_offsets(np.bincount(owner, minlength=n))
    reciprocal = np.zeros(n * width)
    reciprocal[cells[order]] = 1.0 / (1.0 + np.arange(len(cells)) - first[owner])
    known = (lines[wanted] > 0) & (own > 0)
    recency = np.maximum(as_of[who] - last[wanted], 0) / DAY
    return {
        "category_lines": np.where(known, lines[wanted], 0).astype(np.float64),
        "category_recency_days": np.where(known, recency, NEVER_DAYS),
        "category_reciprocal_rank": np.where(known, reciprocal[wanted], 0.0),
    }


def _share(
    k: KeptLines, total: Float64, who: Int64, candidates: Int64, catalogue: Catalogue, attribute: str
) -> Float64:
    code = catalogue.attribute(attribute)
    width = len(catalogue.codes[attribute].values)
    own = code[candidates].astype(np.int64)
    weight = np.bincount(k.owner * width + code[k.row], k.weight_90, len(total) * width)
    share = weight[who * width + own] / np.maximum(total[who], 1e-300)
    return np.where(own > 0, share, 0.0)
