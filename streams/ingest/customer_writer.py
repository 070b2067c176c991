"""Customers' rows between the online store and the kernels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo import fences
from feature_repo.catalogue import Catalogue
from feature_repo.customer_features import customer_features
from feature_repo.customer_state import CustomerRow, CustomerStates
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


@dataclass(frozen=True)
class _Rows:
    """What `CustomerWriter.write` is given."""

    customer_ids: Sequence[str]
    states: CustomerStates
    rows: Sequence[CustomerRow]
    times: npt.NDArray[np.int64]
    before: Sequence[CustomerRow | None]


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
        by_change: dict[_Change, list[int]] = {change: [] for change in _Change}
        for at, (old, new) in enumerate(zip(known, rows, strict=True)):
            by_change[_change(old, new)].append(at)
        changed = _Rows(customer_ids, states.without_ids(), rows, times, known)
        updates, whole = by_change[_Change.BOUGHT], by_change[_Change.ALL]
        posted = self._post_looks(changed, by_change[_Change.LOOKED])
        posted += self._post_features(changed, updates, whole, replace_same)

        def done() -> Outcomes:
            outcomes = np.full(n, Outcome.OTHER, dtype=np.int8)
            for chosen, replies in posted:
                outcomes[chosen] = replies()
            # Redis had another version of these rows than was thought.
            if rest := np.flatnonzero(outcomes == Outcome.OTHER).tolist():
                for chosen, replies in self._post_features(changed, [], rest, replace_same):
                    outcomes[chosen] = replies()
            return outcomes

        STORE_ROWS.labels(CUSTOMER_PURCHASES).inc(n)
        return done

    def take_away(self, customer_ids: Sequence[str], positions: Sequence[int]) -> Outcomes:
        """Remove erased customers' rows, where their position has grown to that of the erasure."""
        return fences.take_away(self._store, self._layout, customer_ids, positions, (IDS, SEALED, EVICTED))

    def keep(self, customer_ids: Sequence[str]) -> None:
        """Let customers stay who were erased and have come back."""
        fences.keep(self._store, self._layout.entity, customer_ids)

    def _post_looks(self, changed: _Rows, chosen: list[int]) -> list[tuple[list[int], Posted]]:
        """Write what a look at an item changes."""
        if not chosen:
            return []
        some = [changed.rows[at] for at in chosen]
        columns, extra = {"recent": [row.recent for row in some]}, {IDS: [row.ids for row in some]}
        return [(chosen, self._post_updates(changed, chosen, columns, extra))]

    def _post_features(
        self, changed: _Rows, updates: list[int], whole: list[int], replace_same: bool
    ) -> list[tuple[list[int], Posted]]:
        """Write all features: of rows that are known, and of others, whose sealed ids are written, too."""
        chosen = updates + whole
        if not chosen:
            return []
        some = [changed.rows[at] for at in chosen]
        # All at once: making features costs more for being called than for a few customers more.
        columns: dict[str, Any] = {
            **customer_features(self._shop, changed.states.take(np.array(chosen)), self._catalogue),
            "history": [row.history for row in some],
            "recent": [row.recent for row in some],
        }
        extra = {IDS: [row.ids for row in some], EVICTED: [row.evicted for row in some]}
        first, last = slice(0, len(updates)), slice(len(updates), None)
        posted = []
        if updates:
            posted.append((updates, self._post_updates(changed, updates, _cut(columns, first), _cut(extra, first))))
        if whole:
            replies = self._store.post_rows(
                self._layout,
                [changed.customer_ids[at] for at in whole],
                _cut(columns, last),
                changed.times[whole],
                [changed.rows[at].position for at in whole],
                version_field=POSITION,
                extra={**_cut(extra, last), SEALED: [changed.rows[at].sealed for at in whole]},
                replace_same=replace_same,
            )
            posted.append((whole, replies))
        return posted

    def _post_updates(
        self, changed: _Rows, chosen: list[int], columns: dict[str, Any], extra: dict[str, Any]
    ) -> Posted:
        return self._store.post_updates(
            self._layout,
            [changed.customer_ids[at] for at in chosen],
            columns,
            changed.times[chosen],
            [changed.rows[at].position for at in chosen],
            [old.position for at in chosen if (old := changed.before[at]) is not None],
            version_field=POSITION,
            extra=extra,
        )


def _cut(columns: Mapping[str, Any], rows: slice) -> dict[str, Any]:
    return {name: values[rows] for name, values in columns.items()}


def _change(before: CustomerRow | None, after: CustomerRow) -> _Change:
    """Tell what has changed since a row that was written whole: one of an erased customer is blank."""
    if before is None or before.blank or before.sealed != after.sealed or before.position >= after.position:
        return _Change.ALL
    same = before.history == after.history and before.evicted == after.evicted
    return _Change.LOOKED if same else _Change.BOUGHT
