"""Features as they were at an instant: the same fold over the events that had arrived and happened by then."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import CustomerStates, EventType, Limits
from feature_repo.events import Events
from feature_repo.fold import DEFAULT_LIMITS, fold
from feature_repo.items_state import ItemStates, apply_deltas, empty_items
from feature_repo.keys import item_keys

TYPE_CODES = {kind.name.lower(): kind.value for kind in EventType}
"""Codes by the names of the wire."""


@dataclass(frozen=True)
class Log:
    """The offline store's interactions in arrays.

    Attributes
    ----------
    customer_ids
        The ``n`` distinct customers.
    events
        All events in the order of arrival; ``events.customer`` points into ``customer_ids``.
    """

    customer_ids: list[str]
    events: Events


def log_of(columns: dict[str, Any]) -> Log:
    """Return a log from the offline store's columns.

    Parameters
    ----------
    columns
        Distinct events, by name: ``customer_id``, ``item_id``, ``type`` (str), ``time``, ``arrival`` (int64
        microseconds), ``quantity``, ``amount`` (int, -1: unknown) and ``rating`` (float, NaN: none).
    """
    customers, customer = np.unique(np.asarray(columns["customer_id"], dtype=object), return_inverse=True)
    items, item = np.unique(np.asarray(columns["item_id"], dtype=object), return_inverse=True)
    kinds, kind = np.unique(np.asarray(columns["type"], dtype=object), return_inverse=True)
    codes = np.array([TYPE_CODES[name] for name in kinds], dtype=np.int8)
    n = len(customer)
    quantity = np.asarray(columns["quantity"], dtype=np.int32)
    rating = np.asarray(columns["rating"], dtype=np.float32)
    events = Events(
        customer=customer.astype(np.int64), item=item_keys(items.tolist())[item],
        event=np.arange(n, dtype=np.uint64), type=codes[kind],
        time=np.asarray(columns["time"], dtype=np.int64), quantity=quantity,
        amount=np.asarray(columns["amount"], dtype=np.int64).astype(np.int32),
        weight=np.where(np.isnan(rating), quantity.astype(np.float32), rating).astype(np.float32),
        arrival=np.asarray(columns["arrival"], dtype=np.int64), offset=np.arange(n, dtype=np.int64),
    )  # fmt: skip
    order = np.lexsort((events.time, events.arrival))
    return Log(customers.tolist(), replace(events.take(order), offset=np.arange(n, dtype=np.int64)))


@dataclass(frozen=True)
class Snapshot:
    """State at an instant: customers in the order of the log's ids, items in the order of the catalogue's rows."""

    at: int
    customers: CustomerStates
    items: ItemStates


def snapshots(
    log: Log, catalogue: Catalogue, instants: Sequence[int], limits: Limits = DEFAULT_LIMITS
) -> list[Snapshot]:
    """Return the state at each instant, folding every event once.

    An event counts at an instant if both its event time and its arrival are at or before it.

    Parameters
    ----------
    instants
        Microseconds since the epoch, ascending.
    """
    events = log.events
    known_at = np.maximum(events.time, events.arrival)
    states, items = CustomerStates.empty(len(log.customer_ids)), empty_items(len(catalogue))
    out, done = [], np.zeros(len(events), dtype=bool)
    for instant in instants:
        due = (known_at <= instant) & ~done
        done |= due
        batch = events.take(due)
        batch = replace(batch, offset=np.arange(len(batch), dtype=np.int64) + (int(states.position.max(initial=0)) + 1))
        folded = fold(states, batch, limits)
        states, rows = folded.states, catalogue.rows(folded.deltas.items)
        known = rows >= 0
        changed = apply_deltas(_gather(items, rows), folded.deltas)
        items = items.copy()
        items[rows[known]] = changed[known]
        out.append(Snapshot(instant, states, items))
    return out


def _gather(items: ItemStates, rows: npt.NDArray[np.int64]) -> ItemStates:
    states = empty_items(len(rows))
    known = rows >= 0
    states[known] = items[rows[known]]
    return states
