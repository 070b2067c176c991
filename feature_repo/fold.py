"""The one fold: customers' states and a batch of events in, new states and the items' changes out.

Every kept set is "the largest N under a total order of immutable keys", and every sum is over integers, so the
outcome does not depend on how events are ordered or split into batches.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.customer_state import RECENT, CustomerStates, EventType, Limits
from feature_repo.deduplication import deduplicate
from feature_repo.events import Events, Outcome
from feature_repo.heat import heat
from feature_repo.item_deltas import item_deltas
from feature_repo.items_state import ItemDeltas
from feature_repo.purchases import PURCHASE, Purchases, canonical_order
from feature_repo.ragged import Int64, append, keep, keep_last, owners, pick


@dataclass(frozen=True)
class Folded:
    """What `fold` returns: the new states, ``outcome: int8[e]`` per event, and what changed in the items."""

    states: CustomerStates
    outcome: npt.NDArray[np.int8]
    deltas: ItemDeltas


DEFAULT_LIMITS = Limits()


def fold(states: CustomerStates, events: Events, limits: Limits = DEFAULT_LIMITS) -> Folded:
    """Apply a batch of events.

    An event at or before its customer's position is a replay and changes nothing; one whose id was applied at
    another offset within the dedupe window is a duplicate.

    Parameters
    ----------
    states
        States of the customers that ``events.customer`` points into.
    events
        Each customer's in the order of offsets.
    limits
        Bounds of the state.
    """
    outcome, remembered = deduplicate(states, events, limits)
    applied = events.take(outcome == Outcome.APPLIED)
    recent, recent_offsets = _fold_recent(states, applied, limits)
    lines, owner = _lines(applied)
    merged, merged_offsets = _merge_lines(states, lines, owner)
    stays = keep_last(merged_offsets, limits.purchases)
    history, history_offsets = keep(merged, merged_offsets, stays)
    leaving, leaving_owner = pick(merged, ~stays), owners(merged_offsets)[~stays]
    attention = heat(applied.item, applied.type, applied.time, applied.arrival)
    deltas = item_deltas(states, history, history_offsets, lines, owner, leaving, leaving_owner, attention)
    evicted = _evict(states.evicted, leaving, leaving_owner)
    position = states.position.copy()
    np.maximum.at(position, events.customer, events.offset)
    new = CustomerStates(
        history, history_offsets, recent, recent_offsets,
        remembered.seen, remembered.seen_offsets, remembered.sealed, evicted, position,
    )  # fmt: skip
    return Folded(new, outcome, deltas)


def _fold_recent(states: CustomerStates, applied: Events, limits: Limits) -> tuple[npt.NDArray[Any], Int64]:
    kinds = (
        EventType.VIEW,
        EventType.CLICK,
        EventType.ADD_TO_CART,
        EventType.REMOVE_FROM_CART,
        EventType.RATING,
    )
    chosen = applied.take(np.isin(applied.type, kinds))
    if len(chosen) == 0:
        return states.recent, states.recent_offsets
    new = np.empty(len(chosen), dtype=RECENT)
    new["time"], new["item"], new["type"], new["weight"] = (
        chosen.time,
        chosen.item,
        chosen.type,
        chosen.weight,
    )
    order = np.lexsort((new["weight"], new["type"], new["item"], new["time"], chosen.customer))
    new, owner = new[order], chosen.customer[order]
    rows, offsets = append(states.recent, states.recent_offsets, new, owner)
    if (late := _late(states.recent["time"], states.recent_offsets, new["time"], owner)).any():
        whose = owners(offsets)
        at = np.flatnonzero(late[whose])
        some = pick(rows, at)
        rows[at] = some[np.lexsort((some["weight"], some["type"], some["item"], some["time"], whose[at]))]
    if np.diff(offsets).max(initial=0) <= limits.recent:
        return rows, offsets
    return keep(rows, offsets, keep_last(offsets, limits.recent))


def _late(old: Int64, offsets: Int64, new: Int64, owner: Int64) -> npt.NDArray[np.bool_]:
    """Return ``bool[n]``: owners with a new time that is not later than all of their old ones, which are sorted."""
    n = len(offsets) - 1
    last = np.full(n, np.iinfo(np.int64).min)
    has_old = np.diff(offsets) > 0
    last[has_old] = old[offsets[1:][has_old] - 1]
    late = np.zeros(n, dtype=bool)
    late[owner[new <= last[owner]]] = True
    return late


def _lines(applied: Events) -> tuple[Purchases, Int64]:
    """Return the purchases and returns among the events as lines, and whose they are."""
    events = applied.take((applied.type == EventType.PURCHASE) | (applied.type == EventType.RETURN))
    lines = np.empty(len(events), dtype=PURCHASE)
    lines["time"], lines["item"], lines["amount"] = events.time, events.item, events.amount
    lines["quantity"] = np.where(events.type == EventType.RETURN, -events.quantity, events.quantity)
    return lines, events.customer


def _merge_lines(states: CustomerStates, new: Purchases, owner: Int64) -> tuple[Purchases, Int64]:
    """Return the histories with the new lines in canonical order, before anything is evicted.

    Most new lines are later than all of their customer's old ones and are simply appended; only customers with
    a late line are sorted again.
    """
    if len(new) == 0:
        return states.purchases, states.purchase_offsets
    order = canonical_order(owner, new)
    new, owner = new[order], owner[order]
    merged, offsets = append(states.purchases, states.purchase_offsets, new, owner)
    if (late := _late(states.purchases["time"], states.purchase_offsets, new["time"], owner)).any():
        whose = owners(offsets)
        rows = np.flatnonzero(late[whose])
        merged[rows] = merged[rows][canonical_order(whose[rows], merged[rows])]
    return merged, offsets


def _evict(evicted: npt.NDArray[np.int64], lines: Purchases, owner: Int64) -> npt.NDArray[np.int64]:
    """Add the lines that leave the history to the sums of what left it."""
    if len(lines) == 0:
        return evicted
    out = evicted.copy()
    bought = lines["quantity"] > 0
    sign = np.where(bought, 1, -1)
    np.add.at(out[:, 0], owner[bought], 1)
    np.add.at(out[:, 1], owner, lines["quantity"].astype(np.int64))
    np.add.at(out[:, 2], owner, sign * np.maximum(lines["amount"].astype(np.int64), 0))
    time, who = lines["time"][bought], owner[bought]
    first = np.where(out[:, 3] == 0, np.iinfo(np.int64).max, out[:, 3])
    np.minimum.at(first, who, time)
    out[:, 3] = np.where(first == np.iinfo(np.int64).max, 0, first)
    np.maximum.at(out[:, 4], who, time)
    return out
