"""Small shops with everything that goes wrong in one: for the parity tests, folded by the kernels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.catalogue import Catalogue, CatalogueItem
from feature_repo.customer_features import customer_features
from feature_repo.customer_state import CustomerStates, Limits
from feature_repo.events import Events
from feature_repo.fold import fold
from feature_repo.histories import histories_of
from feature_repo.items_state import ItemStates, apply_deltas, empty_items
from feature_repo.keys import event_keys, item_keys
from feature_repo.point_in_time import TYPE_CODES
from feature_repo.popularity import popularity, price
from feature_repo.purchases import kept
from feature_repo.rfm import rfm, rfm_state
from feature_repo.sessions import session_columns, sessions
from feature_repo.shop import Shop
from feature_repo.trends import trend_scores

RINGS = ("daily", "hot")


@dataclass(frozen=True)
class World:
    """Interactions as the offline store has them, and the shop's items."""

    interactions: pa.Table
    items: list[CatalogueItem]


@dataclass(frozen=True)
class Folded:
    """What the kernels made of a world: states of the customers and of the items that were dealt in."""

    customer_ids: list[str]
    customers: CustomerStates
    item_ids: list[str]
    items: ItemStates
    catalogue: Catalogue


def folded(shop: Shop, world: World, batches: Sequence[np.ndarray], limits: Limits) -> Folded:
    """Fold the interactions in the given batches of row numbers; a row's offset is its number."""
    columns = world.interactions.to_pydict()
    ids, customer = np.unique(np.array(columns["customer_id"], dtype=object), return_inverse=True)
    events = events_of(columns, customer.astype(np.int64))
    states, items = CustomerStates.empty(len(ids)), {}
    for batch in batches:
        result = fold(states, events.take(batch), limits)
        states = result.states
        keys = [int(key) for key in result.deltas.items]
        old = np.concatenate([empty_items(0), *(items.get(key, empty_items(1)) for key in keys)])
        new = apply_deltas(old, result.deltas)
        items |= {key: new[row : row + 1] for row, key in enumerate(keys)}
    names = sorted(set(columns["item_id"]))
    dealt = [(name, key) for name, key in zip(names, item_keys(names).tolist(), strict=True) if key in items]
    catalogue = Catalogue(shop.item_attributes)
    catalogue.upsert(world.items)
    rows = np.concatenate([empty_items(0), *(items[key] for _, key in dealt)])
    return Folded(ids.tolist(), states, [name for name, _ in dealt], rows, catalogue)


def events_of(columns: Mapping[str, Sequence[Any]], customer: np.ndarray) -> Events:
    """The offline store's columns as the kernels take them."""
    quantity = np.array(columns["quantity"], dtype=np.int32)
    rating = np.array([np.nan if r is None else r for r in columns["rating"]], dtype=np.float32)
    return Events(
        customer=customer,
        item=item_keys(columns["item_id"]), event=event_keys(columns["event_id"]),
        type=np.array([TYPE_CODES[t] for t in columns["type"]], dtype=np.int8),
        time=np.array(columns["time"], dtype=np.int64), quantity=quantity,
        amount=np.array(columns["amount"], dtype=np.int32),
        weight=np.where(np.isnan(rating), quantity.astype(np.float32), rating),
        arrival=np.array(columns["arrival"], dtype=np.int64), offset=np.array(columns["offset"], dtype=np.int64),
    )  # fmt: skip


def trend_of(result: Folded, as_of: int) -> np.ndarray:
    """float64[catalogue]: trend scores at an instant from the folded states."""
    states = empty_items(len(result.catalogue))
    rows = result.catalogue.rows(item_keys(result.item_ids)) if result.item_ids else np.zeros(0, dtype=np.int64)
    states[rows[rows >= 0]] = result.items[rows >= 0]
    return trend_scores(states, as_of)


def customer_rows(shop: Shop, result: Folded, as_of: int, ids: Sequence[str]) -> dict[str, Any]:
    """The columns of customers that the stream stores, and RFM at an instant, from the folded states."""
    place = {name: row for row, name in enumerate(result.customer_ids)}
    states = result.customers.take(np.array([place[i] for i in ids], dtype=np.int64))
    out: dict[str, Any] = customer_features(shop, states, result.catalogue)
    rows = states.rows()
    out |= {"history": [row.history for row in rows], "recent": [row.recent for row in rows]}
    own = sessions(histories_of(states), result.catalogue, np.full(len(ids), as_of))
    at = rfm(
        rfm_state(kept(states.purchases, states.purchase_offsets), states.evicted), as_of, shop.currency_exponent
    ) | session_columns(own, as_of)
    return out | {f"at_as_of.{name}": values for name, values in at.items()}


def item_rows(shop: Shop, result: Folded, as_of: int, ids: Sequence[str]) -> dict[str, Any]:
    """The columns of items that the stream stores, and popularity at an instant, from the folded states."""
    place = {name: row for row, name in enumerate(result.item_ids)}
    states = result.items[[place[i] for i in ids]]
    out: dict[str, Any] = {name: states[name] for name in states.dtype.names if name not in RINGS}
    out |= {name: [row.tobytes() for row in states[name]] for name in RINGS}
    in_catalogue = result.catalogue.rows(item_keys(list(ids)))
    list_price = np.append(result.catalogue.price, -1)[in_catalogue]  # row -1: not in the catalogue
    at = popularity(states, as_of) | {"price": price(states, list_price, shop.currency_exponent)}
    at["trending"] = trend_scores(states, as_of)
    return out | {f"at_as_of.{name}": values for name, values in at.items()}
