"""What the online store knows of the customers of a batch, by one read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.customer_state import RECENT
from feature_repo.histories import Histories
from feature_repo.online_store import POSITION, OnlineStore
from feature_repo.purchases import PURCHASE
from feature_repo.ragged import Int64, lengths_to_offsets, select
from feature_repo.rows import Rows, Selection
from feature_repo.shop import Shop
from feature_repo.value_proto import ValueType
from feature_repo.views import CUSTOMER_PROFILE, CUSTOMER_PURCHASES, ViewLayout, customer_profile, customer_purchases

NO_POSITION = -2
"""Position of a row that no interaction of the stream has reached."""


@dataclass(frozen=True)
class Customers:
    """Rows of `n` customers as columns.

    Attributes
    ----------
    ids
        Their ids.
    present, complete
        bool[n]: is anything known of the customer? is there a row of purchases and interactions? Of one who was erased
        only a position is left for a while: nothing is known.
    features
        Columns of the view `customer_purchases` that `materialise.customer_columns` takes.
    profile
        The shop's customer attributes, object[n] of str each.
    histories
        Purchase lines and recent interactions.
    position
        int64[n]: offset of the newest interaction in the row; -1 after a backfill, -2 where there is none.
    """

    ids: Sequence[str]
    present: NDArray[np.bool_]
    complete: NDArray[np.bool_]
    features: Mapping[str, NDArray[Any]]
    profile: Mapping[str, NDArray[np.object_]]
    histories: Histories
    position: Int64

    @cached_property
    def last_event_at(self) -> Int64:
        """int64[n]: time of the newest interaction in the row, microseconds since the epoch; 0 where there is none."""
        h = self.histories
        latest = np.zeros(len(self.ids), np.int64)
        for records, offsets in ((h.lines, h.offsets), (h.recent, h.recent_offsets)):
            has = offsets[1:] > offsets[:-1]
            latest[has] = np.maximum(latest[has], records["time"][offsets[1:][has] - 1])
        return latest

    def take(self, chosen: Int64) -> Customers:
        """The chosen customers, in that order."""
        if len(chosen) == len(self.ids) and bool((chosen == np.arange(len(chosen))).all()):
            return self
        h = self.histories
        lines, offsets = select(h.offsets, chosen)
        recent, recent_offsets = select(h.recent_offsets, chosen)
        return Customers(
            ids=[self.ids[place] for place in chosen],
            present=self.present[chosen],
            complete=self.complete[chosen],
            features={name: values[chosen] for name, values in self.features.items()},
            profile={name: values[chosen] for name, values in self.profile.items()},
            histories=Histories(h.lines[lines], offsets, h.recent[recent], recent_offsets),
            position=self.position[chosen],
        )


class CustomerReader:
    """Reads customers' rows from the online store."""

    def __init__(self, store: OnlineStore, shop: Shop) -> None:
        self._store = store
        self._shop = shop
        self._purchases = customer_purchases(shop)
        views: list[ViewLayout] = [self._purchases]
        if shop.customer_attributes:
            views.append(customer_profile(shop))
        self._views = [view.name for view in views]
        kinds = [(name, kind) for name, kind in self._purchases.features if name not in ("history", "recent")]
        self._texts = tuple(name for name, kind in kinds if kind is ValueType.STRING)
        self._numbers = tuple(name for name, kind in kinds if kind is ValueType.INT64)
        self._selection = Selection.of(*views, extra=(POSITION,))

    def read(self, ids: Sequence[str]) -> Customers:
        """One round trip for all ids; raises redis.RedisError where the store cannot be reached."""
        return self.columns(ids, self._store.read_rows(self._selection, ids))

    def columns(self, ids: Sequence[str], rows: Rows) -> Customers:
        """The rows as columns."""
        features: dict[str, NDArray[Any]] = {}
        features |= rows.texts(CUSTOMER_PURCHASES, self._texts)
        features |= rows.int64s(CUSTOMER_PURCHASES, self._numbers)
        times = {name: rows.event_times(name) for name in self._views}
        lines, offsets = _unpack(rows.blobs(CUSTOMER_PURCHASES, "history"), PURCHASE)
        recent, recent_offsets = _unpack(rows.blobs(CUSTOMER_PURCHASES, "recent"), RECENT)
        return Customers(
            ids=ids,
            present=np.logical_or.reduce([time >= 0 for time in times.values()]),
            complete=times[CUSTOMER_PURCHASES] >= 0,
            features=features,
            profile=rows.texts(CUSTOMER_PROFILE, self._shop.customer_attributes),
            histories=Histories(lines, offsets, recent, recent_offsets),
            position=rows.versions(POSITION),
        )


def nobody(ids: Sequence[str], shop: Shop) -> Customers:
    """The columns of customers of whom nothing can be known: the store is out of reach."""
    n = len(ids)
    names = customer_purchases(shop).names
    zeros, none, no_strings = np.zeros(n, np.int64), np.zeros(n + 1, np.int64), np.full(n, "", object)
    return Customers(
        ids=ids,
        present=np.zeros(n, np.bool_),
        complete=np.zeros(n, np.bool_),
        features={
            name: no_strings if "_purchased_" in name else zeros for name in names if name not in ("history", "recent")
        },
        profile=dict.fromkeys(shop.customer_attributes, no_strings),
        histories=Histories(np.zeros(0, PURCHASE), none, np.zeros(0, RECENT), none),
        position=np.full(n, NO_POSITION, np.int64),
    )


def joined(parts: Sequence[Customers]) -> Customers:
    """The customers of all parts, of which there is at least one, in a row."""
    if len(parts) == 1:
        return parts[0]
    histories = [part.histories for part in parts]
    first = parts[0]
    return Customers(
        ids=[name for part in parts for name in part.ids],
        present=np.concatenate([part.present for part in parts]),
        complete=np.concatenate([part.complete for part in parts]),
        features={name: np.concatenate([part.features[name] for part in parts]) for name in first.features},
        profile={name: np.concatenate([part.profile[name] for part in parts]) for name in first.profile},
        histories=Histories(
            np.concatenate([each.lines for each in histories]),
            lengths_to_offsets(np.concatenate([np.diff(each.offsets) for each in histories])),
            np.concatenate([each.recent for each in histories]),
            lengths_to_offsets(np.concatenate([np.diff(each.recent_offsets) for each in histories])),
        ),
        position=np.concatenate([part.position for part in parts]),
    )


def _unpack(blobs: Sequence[bytes], dtype: np.dtype[Any]) -> tuple[NDArray[Any], Int64]:
    lengths = np.array([len(blob) for blob in blobs], np.int64) // dtype.itemsize
    return np.frombuffer(b"".join(blobs), dtype=dtype), lengths_to_offsets(lengths)
