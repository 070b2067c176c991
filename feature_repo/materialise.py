"""From state to model inputs: the one way, for serving, backfill, training and evaluation alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.affinity import ItemAffinities, affinity
from feature_repo.catalogue import Catalogue
from feature_repo.histories import Histories
from feature_repo.items_state import ItemStates
from feature_repo.popularity import popularity, price
from feature_repo.ragged import Int64, owners
from feature_repo.rfm import RFM_STATE, rfm
from feature_repo.sessions import Sessions, session_columns, session_pair_columns, sessions
from feature_repo.shop import Shop

Columns = dict[str, npt.NDArray[Any]]
"""Columns by name: ``object[n]`` of str for categorical ones, ``float64[n]`` for continuous ones."""


def customer_columns(
    shop: Shop,
    customer_ids: Sequence[str],
    features: Mapping[str, npt.NDArray[Any]],
    profile: Mapping[str, Sequence[str] | npt.NDArray[np.object_]],
    own_sessions: Sessions,
    as_of: npt.NDArray[np.int64] | int,
) -> Columns:
    """Return the customer group's model inputs.

    Parameters
    ----------
    customer_ids
        ``n`` ids.
    features
        What `customer_features` returns, or the same columns read from the online store.
    profile
        For each customer attribute its ``n`` values; a missing attribute counts as ``""``.
    own_sessions
        The customers' sessions at ``as_of``.
    as_of
        Microseconds since the epoch: one instant, or ``int64[n]``.
    """
    out: Columns = {"customer_id": np.asarray(customer_ids, dtype=object)}
    for attribute in shop.customer_attributes:
        known = profile.get(attribute)
        out[attribute] = np.full(len(customer_ids), "", object) if known is None else np.asarray(known, dtype=object)
    for attribute in shop.preference_attributes:
        for name in (f"most_purchased_{attribute}", f"last_purchased_{attribute}"):
            out[name] = features[name]
    state = {name: features[name] for name in RFM_STATE}
    return out | rfm(state, as_of, shop.currency_exponent) | session_columns(own_sessions, as_of)


def item_columns(
    shop: Shop, states: ItemStates, catalogue: Catalogue, as_of: int, rows: Int64 | None = None
) -> Columns:
    """Return the item group's model inputs; they depend on the UTC day of ``as_of`` only.

    Parameters
    ----------
    states
        ``ITEM_STATE[k]``, summed over sources, one for each of ``rows``.
    catalogue
        Where the items' attributes and prices are.
    as_of
        Microseconds since the epoch.
    rows
        ``int64[k]``: catalogue rows; all of them if None.
    """
    chosen = np.arange(len(catalogue), dtype=np.int64) if rows is None else rows
    ids = catalogue.item_ids if rows is None else [catalogue.item_ids[row] for row in chosen.tolist()]
    out: Columns = {"item_id": np.asarray(ids[: len(chosen)], dtype=object)}
    for attribute in shop.item_attributes:
        values = np.array(catalogue.codes[attribute].values, dtype=object)
        out[attribute] = values[catalogue.attribute(attribute)[chosen]]
    out |= popularity(states, as_of)
    out["price"] = price(states, catalogue.price[chosen], shop.currency_exponent)
    return out


@dataclass(frozen=True)
class Personal:
    """What was computed of some customers already, for the same histories, catalogue and instants."""

    affinities: ItemAffinities
    sessions: Sessions


def pair_columns(
    shop: Shop,
    histories: Histories,
    candidates: Int64,
    candidate_offsets: Int64,
    catalogue: Catalogue,
    trending: npt.NDArray[np.float64],
    as_of: npt.NDArray[np.int64] | int,
    ready: Personal | None = None,
) -> Columns:
    """Return the pair group's model inputs of each customer's candidates.

    These are the columns of `affinity` and `session_pair_columns`, and ``trending``. The latter is the item's alone,
    but where item columns stay as they are for a day it changes with every minute.

    Parameters
    ----------
    candidates, candidate_offsets
        ``int64[c]`` catalogue rows, ``int64[n + 1]``.
    trending
        ``float64[c]``: each candidate's `trends.trend_scores` at its customer's instant.
    as_of
        Microseconds since the epoch: one instant, or ``int64[n]``.
    ready
        So that nothing is computed twice.
    """
    instants = np.ascontiguousarray(np.broadcast_to(np.asarray(as_of, dtype=np.int64), len(histories)))
    found = sessions(histories, catalogue, instants) if ready is None else ready.sessions
    known = None if ready is None else ready.affinities
    bought = affinity(shop, histories, candidates, candidate_offsets, catalogue, instants, known)
    looked = session_pair_columns(found, owners(candidate_offsets), candidates, catalogue, shop.category)
    return {**bought, **looked, "trending": trending}
