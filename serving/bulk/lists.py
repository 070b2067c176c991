"""Lists of many customers at one instant, by the recommender that answers requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from serving.candidates import LIMITS, SCORED
from serving.customers import Customers
from serving.items_table import ItemsTable
from serving.recommendation import Query, Recommendation
from serving.recommender import Recommender
from serving.scorer import Scorer, ScorerError
from serving.snapshot import Snapshot
from streams.contracts.requests import FallbackReason

SCHEMA = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("items", pa.list_(pa.string()), nullable=False),  # best first
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("reason", pa.string()),  # why these are trending items and no list of the customer's own
    ]
)
"""A row for each customer, in the order asked for."""

Read = Callable[[Sequence[str]], Customers]
"""Customers' rows by their ids, in that order."""


class Lister:
    """Recommends to many customers, all at one instant.

    Parameters
    ----------
    items, model, scorer
        As the service has them; nothing may change them meanwhile.
    read
        Where customers' rows come from.
    as_of
        Microseconds since the epoch.
    n
        Items in a list.
    candidates
        How many items are scored for each customer, at most; every source gives way in proportion.
    """

    def __init__(
        self,
        items: ItemsTable,
        model: Snapshot,
        scorer: Scorer,
        read: Read,
        *,
        as_of: int,
        n: int,
        candidates: int = SCORED,
    ) -> None:
        self._items, self._model, self._read = items, model, read
        limits = LIMITS._replace(total=candidates)
        self._recommender = Recommender(items, scorer, lambda: 0.0, limits, scored=candidates)
        self._as_of, self._n = as_of, n

    def lists(self, ids: Sequence[str]) -> pa.Table:
        """A table of `SCHEMA` for these customers, computed together: a few hundred at a time are best.

        Raises ScorerError where the model failed on them, and what `read` raises.
        """
        queries = [Query(customer_id, self._as_of, self._n) for customer_id in ids]
        found = self._recommender.recommend(queries, self._read(ids), self._model)
        if any(each.reason is FallbackReason.MODEL_UNAVAILABLE for each in found):
            raise ScorerError(f"model {self._model.version} did not answer for customers {ids[0]!r} to {ids[-1]!r}")
        return self._table(ids, found)

    def _table(self, ids: Sequence[str], found: Sequence[Recommendation]) -> pa.Table:
        rows = np.concatenate([each.rows for each in found]) if found else np.zeros(0, np.int64)
        scores = np.concatenate([each.scores for each in found]) if found else np.zeros(0)
        offsets = pa.array(np.cumsum([0, *(len(each.rows) for each in found)]), pa.int32())
        names = self._items.catalogue.item_ids
        columns: list[Any] = [
            pa.array(ids, pa.string()),
            pa.ListArray.from_arrays(offsets, pa.array([names[row] for row in rows.tolist()], pa.string())),
            pa.ListArray.from_arrays(offsets, pa.array(scores.astype(np.float32))),
            pa.array([None if each.reason is None else each.reason.value for each in found], pa.string()),
        ]
        return pa.table(columns, schema=SCHEMA)
