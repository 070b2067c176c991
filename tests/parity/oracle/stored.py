"""What is stored in Redis, in the columns that the oracle checks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.catalogue import Catalogue, CatalogueItem
from feature_repo.customer_state import RECENT
from feature_repo.histories import Histories
from feature_repo.items_state import ITEM_STATE, empty_items
from feature_repo.keys import item_keys
from feature_repo.materialise import pair_columns
from feature_repo.online_store import OnlineStore
from feature_repo.popularity import popularity, price
from feature_repo.purchases import PURCHASE
from feature_repo.ragged import lengths_to_offsets
from feature_repo.rfm import RFM_STATE, rfm
from feature_repo.rows import Selection
from feature_repo.sessions import session_columns, sessions
from feature_repo.shop import Shop
from feature_repo.trends import trend_scores
from feature_repo.views import CUSTOMER_PURCHASES, ITEM_PURCHASES, customer_purchases, item_purchases
from tests.parity.oracle.check import Read, ReadPairs
from tests.parity.oracle.oracle import CatalogueEntry

ABSENT = -(2**63)
"""Stands for a number that is not stored, so that it equals none that could be."""


def customer_reader(store: OnlineStore, shop: Shop, as_of: int) -> Read:
    """Return a reader of customers' stored features, and of RFM and the session at an instant."""
    layout = customer_purchases(shop)
    selection = Selection.of(layout)

    def read(ids: list[str]) -> Mapping[str, Any]:
        rows = store.read_rows(selection, ids)
        out: dict[str, Any] = {name: rows.int64(CUSTOMER_PURCHASES, name, ABSENT) for name in RFM_STATE}
        for attribute in shop.preference_attributes:
            for name in (f"most_purchased_{attribute}", f"last_purchased_{attribute}"):
                out[name] = rows.values(CUSTOMER_PURCHASES, name)
        for name in ("history", "recent"):
            out[name] = rows.values(CUSTOMER_PURCHASES, name)
        state = {name: out[name] for name in RFM_STATE}
        histories = Histories(*_unpacked(out["history"], PURCHASE), *_unpacked(out["recent"], RECENT))
        own = sessions(histories, Catalogue(()), np.full(len(ids), as_of))
        at = rfm(state, as_of, shop.currency_exponent) | session_columns(own, as_of)
        return out | {f"at_as_of.{name}": values for name, values in at.items()}

    return read


def item_reader(store: OnlineStore, shop: Shop, items: Mapping[str, CatalogueEntry], as_of: int) -> Read:
    """Return a reader of items' stored sums and of their popularity at an instant."""
    layout = item_purchases(shop)
    selection = Selection.of(layout)
    numbers = [name for name in layout.names if name not in ("daily", "hot")]

    def read(ids: list[str]) -> Mapping[str, Any]:
        rows = store.read_rows(selection, ids)
        states = empty_items(len(ids))
        rings = {name: rows.values(ITEM_PURCHASES, name) for name in ("daily", "hot")}
        out: dict[str, Any] = {name: rows.int64(ITEM_PURCHASES, name, ABSENT) for name in numbers}
        for name in numbers:
            states[name] = out[name]
        for name, ring in rings.items():
            width = ITEM_STATE[name].itemsize
            known = b"".join([data if isinstance(data, bytes) else bytes(width) for data in ring])
            states[name] = np.frombuffer(known, "<i4").reshape(len(ids), -1)
        prices = np.array([items[i].price if i in items else -1 for i in ids], dtype=np.int64)
        at = popularity(states, as_of) | {"price": price(states, prices, shop.currency_exponent)}
        at["trending"] = trend_scores(states, as_of)
        return out | rings | {f"at_as_of.{name}": values for name, values in at.items()}

    return read


def pair_reader(store: OnlineStore, shop: Shop, items: Sequence[CatalogueItem], as_of: int) -> ReadPairs:
    """Return a reader of the pair columns that follow from stored histories and items' states at an instant."""
    catalogue = Catalogue(shop.item_attributes)
    catalogue.upsert(items)
    layout = customer_purchases(shop)
    selection = Selection.of(layout, features={CUSTOMER_PURCHASES: ("history", "recent")})
    read_item = item_reader(store, shop, {}, as_of)

    def read(customer_ids: list[str], item_ids: list[str]) -> Mapping[str, Any]:
        ids = list(dict.fromkeys(customer_ids))
        place = {customer: at for at, customer in enumerate(ids)}
        counts = np.bincount([place[customer] for customer in customer_ids], minlength=len(ids))
        rows = store.read_rows(selection, ids)
        history = rows.blobs(CUSTOMER_PURCHASES, "history")
        recent = rows.blobs(CUSTOMER_PURCHASES, "recent")
        histories = Histories(*_unpacked(history, PURCHASE), *_unpacked(recent, RECENT))
        candidates = catalogue.rows(item_keys(item_ids))
        distinct, at = np.unique(np.array(item_ids, dtype=object), return_inverse=True)
        trending = read_item(distinct.tolist())["at_as_of.trending"][at]
        return pair_columns(shop, histories, candidates, lengths_to_offsets(counts), catalogue, trending, as_of)

    return read


def _unpacked(blobs: Sequence[bytes | None], dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    known = [blob or b"" for blob in blobs]
    lengths = np.array([len(blob) // dtype.itemsize for blob in known], dtype=np.int64)
    return np.frombuffer(b"".join(known), dtype=dtype), lengths_to_offsets(lengths)
