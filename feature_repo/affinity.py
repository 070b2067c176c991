"""Customer x item and customer x category affinities, computed from the customer's kept history.

What repeat purchases follow is rhythm: how often, how regularly and how long ago a customer bought this item, and
how much of what they buy lies near it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from feature_repo import affinity_loops as loops
from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import EventType
from feature_repo.histories import Histories
from feature_repo.purchases import kept
from feature_repo.ragged import Int64
from feature_repo.row_lookup import rows_of
from feature_repo.session_loops import engagement
from feature_repo.shop import Shop

Float64 = npt.NDArray[np.float64]

ENGAGEMENT = {
    EventType.VIEW: 1.0,
    EventType.CLICK: 1.0,
    EventType.ADD_TO_CART: 3.0,
    EventType.REMOVE_FROM_CART: -3.0,
    EventType.RATING: 1.0,
}
"""Weight of an interaction that is no purchase; it decays by a day."""

_WEIGHTS = np.array([ENGAGEMENT.get(kind, 0.0) for kind in EventType])


PAIR_COLUMNS = (
    "pair_lines", "pair_days", "pair_share_of_days", "pair_recency_days", "pair_interval_days", "pair_rhythm",
    "pair_trips_since", "pair_decayed_20", "pair_decayed_90", "pair_reciprocal_rank",
)  # fmt: skip
CATEGORY_COLUMNS = ("category_lines", "category_recency_days", "category_reciprocal_rank")


class KeptLines(NamedTuple):
    """Lines of known items of which something is left, each customer's by time.

    offsets: ``int64[n + 1]``; row, time: ``int64[l]``; weight_90: ``float64[l]``, exp(-age / 90 d).
    """

    offsets: Int64
    row: Int64
    time: Int64
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
    held = kept(histories.lines, histories.offsets)
    rows = rows_of(catalogue, held.lines["item"])
    offsets, (owner, row, time, day), (short, long) = loops.weighed(held.lines, held.offsets, rows, as_of)
    width = int(row.max(initial=0)) + 1
    order = (owner * width + row).argsort(kind="stable")  # lines stay in the order of time within a pair
    begin, shopping_days, facts, (decayed_20, decayed_90) = loops.paired(
        order, owner, row, time, day, short, long, offsets
    )
    whose, which, lines, days, first, last, since = facts
    rank = np.empty(len(whose), dtype=np.int64)
    if len(as_of) == 1:
        rank[(-decayed_90).argsort(kind="stable")] = np.arange(len(whose))
    else:
        rank[np.lexsort((-decayed_90, whose))] = np.arange(len(whose)) - begin[whose]
    return ItemAffinities(
        owner=whose, row=which, offsets=begin, lines=lines, days=days, first_at=first, last_at=last,
        decayed_20=decayed_20, decayed_90=decayed_90, rank=rank, trips_since=since, shopping_days=shopping_days,
        kept=KeptLines(offsets, row, time, long),
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
    a = item_affinities(histories, catalogue, as_of) if ready is None else ready
    pairs = loops.pair_columns(
        a.row, a.offsets, a.lines, a.days, a.first_at, a.last_at, a.decayed_20, a.decayed_90, a.rank, a.trips_since,
        a.shopping_days, candidates, candidate_offsets, as_of,
    )  # fmt: skip
    out = dict(zip(PAIR_COLUMNS, pairs, strict=True))
    out["pair_engagement"] = engagement(
        histories.recent, histories.recent_offsets, rows_of(catalogue, histories.recent["item"]), _WEIGHTS, candidates,
        candidate_offsets, as_of,
    )  # fmt: skip
    if shop.category:
        columns = loops.category_columns(
            *a.kept, *catalogue.codes_of((shop.category,)), candidates, candidate_offsets, as_of
        )  # fmt: skip
        out |= zip(CATEGORY_COLUMNS, columns, strict=True)
    if shop.preference_attributes:
        codes = catalogue.codes_of(shop.preference_attributes)
        columns = loops.shares(a.offsets, a.row, a.decayed_90, *codes, candidates, candidate_offsets)
        out |= {f"share_of_{name}": share for name, share in zip(shop.preference_attributes, columns, strict=True)}
    return out
