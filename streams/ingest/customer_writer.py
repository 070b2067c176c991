"""Customers' rows between the online store and the kernels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.materialise import customer_features
from feature_repo.online_store import POSITION, OnlineStore, Outcomes
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
        replace_same: bool = False,
    ) -> Outcomes:
        """Write whole rows where the position has grown.

        Parameters
        ----------
        states, rows: the same `n` customers, as columns and packed.
        times: ``int64[n]``, when each customer's last event arrived, microseconds since the epoch.
        replace_same: also replace rows of the same position, as a repeated backfill does.
        """
        columns: dict[str, Any] = {
            **customer_features(self._shop, states, self._catalogue),
            "history": [row.history for row in rows],
            "recent": [row.recent for row in rows],
        }
        outcomes = self._store.write_rows(
            self._layout,
            customer_ids,
            columns,
            times,
            states.position,
            version_field=POSITION,
            extra={IDS: [row.ids for row in rows], EVICTED: [row.evicted for row in rows]},
            replace_same=replace_same,
        )
        STORE_ROWS.labels(CUSTOMER_PURCHASES).inc(len(customer_ids))
        return outcomes
