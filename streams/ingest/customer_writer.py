"""Customers' rows between the online store and the kernels."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo import fences
from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.materialise import customer_features
from feature_repo.online_store import POSITION, OnlineStore, Outcome, Outcomes, Posted
from feature_repo.rows import Selection
from feature_repo.shop import Shop
from feature_repo.views import CUSTOMER_PURCHASES, customer_purchases
from streams.contracts.observability import STORE_ROWS

IDS = "hw:ids"
"""The field of a customer's hash with the ids of its latest events, ``SEEN_ID[]``."""

SEALED = "hw:sealed-ids"
"""The field with the ids before those: written once in a while, see `feature_repo.deduplication`."""

EVICTED = "hw:evicted"
"""The field of a customer's hash with the sums of what left its history, ``int64[5]``."""


class _Change(Enum):
    """What of a row is written."""

    LOOKED = auto()
    BOUGHT = auto()
    ALL = auto()


class CustomerWriter:
    """Reads and writes the view `customer_purchases` and what is kept beside it.

    Parameters
    ----------
    catalogue: the items that purchases refer to; looked at on every write.
    """

    def __init__(self, store: OnlineStore, shop: Shop, catalogue: Catalogue) -> None:
        self._store = store
        self._shop = shop
        self._catalogue = catalogue
        self._layout = customer_purchases(shop)
        self._selection = Selection.of(
            self._layout,
            features={CUSTOMER_PURCHASES: ("history", "recent")},
            extra=(IDS, SEALED, EVICTED, POSITION),
        )

    def read(self, customer_ids: Sequence[str]) -> list[CustomerRow | None]:
        """Return the stored rows, None for customers of whom nothing was ever read."""
        found = self._store.read_rows(self._selection, customer_ids)
        return [
            None
            if position is None
            else CustomerRow(history, recent, ids or b"", evicted or b"", int(position), sealed or b"")
            for history, recent, ids, sealed, evicted, position in zip(
                found.blobs(CUSTOMER_PURCHASES, "history"),
                found.blobs(CUSTOMER_PURCHASES, "recent"),
                found.own_field(IDS),
                found.own_field(SEALED),
                found.own_field(EVICTED),
                found.own_field(POSITION),
                strict=True,
            )
        ]

    def write(
        self,
        customer_ids: Sequence[str],
        states: CustomerStates,
        rows: Sequence[CustomerRow],
        times: npt.NDArray[np.int64],
        *,
        before: Sequence[CustomerRow | None] | None = None,
        replace_same: bool = False,
    ) -> Outcomes:
        """Write rows where the position has grown.

        `post` begins the same and returns what waits for it, see `feature_repo.redis_commands.post`.

        Parameters
        ----------
        states, rows: the same `n` customers, as columns and packed.
        times: ``int64[n]``, when each customer's last event arrived, microseconds since the epoch.
        before: ``[n]`` what is thought to be stored. Where that is so, only what may have changed is written: never
            what is sealed, and without a purchase nothing that is made of purchases.
        replace_same: also replace rows of the same position, as a repeated backfill does.
        """
        return self.post(customer_ids, states, rows, times, before=before, replace_same=replace_same)()

    def post(
        self,
        customer_ids: Sequence[str],
        states: CustomerStates,
        rows: Sequence[CustomerRow],
        times: npt.NDArray[np.int64],
        *,
        before: Sequence[CustomerRow | None] | None = None,
        replace_same: bool = False,
    ) -> Posted:
        """Begin what `write` does."""
        n = len(customer_ids)
        known = before or [None] * n
        groups: dict[_Change, list[int]] = {change: [] for change in _Change}
        for at, (old, new) in enumerate(zip(known, rows, strict=True)):
            groups[_change(old, new)].append(at)
        columns_of = states.without_ids()

        def written(change: _Change, chosen: list[int]) -> Posted:
            return self._post(
                change,
                [customer_ids[at] for at in chosen],
                columns_of.take(np.array(chosen, dtype=np.int64)),
                [rows[at] for at in chosen],
                times[chosen],
                [old.position for at in chosen if (old := known[at]) is not None],
                replace_same,
            )

        posted = [(chosen, written(change, chosen)) for change, chosen in groups.items() if chosen]

        def done() -> Outcomes:
            outcomes = np.full(n, Outcome.OTHER, dtype=np.int8)
            for chosen, replies in posted:
                outcomes[chosen] = replies()
            # Redis had another version of these rows than was thought.
            if rest := np.flatnonzero(outcomes == Outcome.OTHER).tolist():
                outcomes[rest] = written(_Change.ALL, rest)()
            return outcomes

        STORE_ROWS.labels(CUSTOMER_PURCHASES).inc(n)
        return done

    def take_away(self, customer_ids: Sequence[str], positions: Sequence[int]) -> Outcomes:
        """Remove erased customers' rows, where their position has grown to that of the erasure."""
        return fences.take_away(self._store, self._layout, customer_ids, positions, (IDS, SEALED, EVICTED))

    def keep(self, customer_ids: Sequence[str]) -> None:
        """Let customers stay who were erased and have come back."""
        fences.keep(self._store, self._layout.entity, customer_ids)

    def _post(
        self,
        change: _Change,
        customer_ids: Sequence[str],
        states: CustomerStates,
        rows: Sequence[CustomerRow],
        times: npt.NDArray[np.int64],
        bases: Sequence[int],
        replace_same: bool,
    ) -> Posted:
        columns: dict[str, Any] = {"recent": [row.recent for row in rows]}
        extra = {IDS: [row.ids for row in rows]}
        if change is not _Change.LOOKED:
            columns |= customer_features(self._shop, states, self._catalogue)
            columns["history"] = [row.history for row in rows]
            extra[EVICTED] = [row.evicted for row in rows]
        if change is _Change.ALL:
            extra[SEALED] = [row.sealed for row in rows]
            return self._store.post_rows(
                self._layout, customer_ids, columns, times, states.position, version_field=POSITION, extra=extra,
                replace_same=replace_same,
            )  # fmt: skip
        return self._store.post_updates(
            self._layout, customer_ids, columns, times, states.position, bases, version_field=POSITION, extra=extra
        )


def _change(before: CustomerRow | None, after: CustomerRow) -> _Change:
    """Tell what has changed since a row that was written whole: one of an erased customer is blank."""
    if before is None or before.blank or before.sealed != after.sealed or before.position >= after.position:
        return _Change.ALL
    same = before.history == after.history and before.evicted == after.evicted
    return _Change.LOOKED if same else _Change.BOUGHT
