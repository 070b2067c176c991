"""Customers' rows between the online store and the kernels."""

from collections.abc import Sequence
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

EVICTED = "hw:evicted"
"""The field of a customer's hash with the sums of what left its history, ``int64[5]``."""


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
            extra=(IDS, EVICTED, POSITION),
        )

    def read(self, customer_ids: Sequence[str]) -> list[CustomerRow | None]:
        """Return the stored rows, None for customers of whom nothing was ever read."""
        found = self._store.read_rows(self._selection, customer_ids)
        return [
            None if position is None else CustomerRow(history, recent, ids or b"", evicted or b"", int(position))
            for history, recent, ids, evicted, position in zip(
                found.blobs(CUSTOMER_PURCHASES, "history"),
                found.blobs(CUSTOMER_PURCHASES, "recent"),
                found.own_field(IDS),
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
        before: ``[n]`` what is thought to be stored. Where that is so and no purchase has come, most of the row stays
            as it is, for its features are made of purchases.
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
        looked, bought = list[int](), list(range(n))
        if before is not None:
            only = [_only_looked(old, new) for old, new in zip(before, rows, strict=True)]
            looked, bought = [at for at in range(n) if only[at]], [at for at in range(n) if not only[at]]

        columns_of = states.without_ids()

        def whole(chosen: list[int]) -> Posted:
            return self._post_whole(
                [customer_ids[at] for at in chosen],
                columns_of.take(np.array(chosen, dtype=np.int64)),
                [rows[at] for at in chosen],
                times[chosen],
                replace_same,
            )

        updated = self._post_updates(customer_ids, rows, times, before or (), looked) if looked else None
        written = whole(bought) if bought else None

        def done() -> Outcomes:
            outcomes = np.full(n, Outcome.OTHER, dtype=np.int8)
            if updated is not None:
                outcomes[looked] = updated()
            if written is not None:
                outcomes[bought] = written()
            # Redis had another version of these rows than was thought.
            if rest := np.flatnonzero(outcomes == Outcome.OTHER).tolist():
                outcomes[rest] = whole(rest)()
            return outcomes

        STORE_ROWS.labels(CUSTOMER_PURCHASES).inc(n)
        return done

    def take_away(self, customer_ids: Sequence[str], positions: Sequence[int]) -> Outcomes:
        """Remove erased customers' rows, where their position has grown to that of the erasure."""
        return fences.take_away(self._store, self._layout, customer_ids, positions, (IDS, EVICTED))

    def keep(self, customer_ids: Sequence[str]) -> None:
        """Let customers stay who were erased and have come back."""
        fences.keep(self._store, self._layout.entity, customer_ids)

    def _post_updates(
        self,
        customer_ids: Sequence[str],
        rows: Sequence[CustomerRow],
        times: npt.NDArray[np.int64],
        before: Sequence[CustomerRow | None],
        chosen: list[int],
    ) -> Posted:
        """Write what a look at an item changes."""
        some = [rows[at] for at in chosen]
        return self._store.post_updates(
            self._layout,
            [customer_ids[at] for at in chosen],
            {"recent": [row.recent for row in some]},
            times[chosen],
            [row.position for row in some],
            [old.position for at in chosen if (old := before[at]) is not None],
            version_field=POSITION,
            extra={IDS: [row.ids for row in some]},
        )

    def _post_whole(
        self,
        customer_ids: Sequence[str],
        states: CustomerStates,
        rows: Sequence[CustomerRow],
        times: npt.NDArray[np.int64],
        replace_same: bool,
    ) -> Posted:
        columns: dict[str, Any] = {
            **customer_features(self._shop, states, self._catalogue),
            "history": [row.history for row in rows],
            "recent": [row.recent for row in rows],
        }
        return self._store.post_rows(
            self._layout,
            customer_ids,
            columns,
            times,
            states.position,
            version_field=POSITION,
            extra={IDS: [row.ids for row in rows], EVICTED: [row.evicted for row in rows]},
            replace_same=replace_same,
        )


def _only_looked(before: CustomerRow | None, after: CustomerRow) -> bool:
    """Whether nothing was bought since a row that was written whole: one of an erased customer has no ids."""
    return (
        before is not None
        and before.ids != b""
        and before.history == after.history
        and before.evicted == after.evicted
        and before.position < after.position
    )
