"""Purchases as the offline store holds them, told as baskets of letters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from feature_repo.purchases import DAY
from streams import offline

START = 17_000 * DAY


def table(
    baskets: Sequence[tuple[str, int, str]], kind: str = "purchase", sessions: bool = True, first: int = 0
) -> pa.Table:
    """A line for each letter of each (customer, day, items); each basket a session of its own, if sessions are told."""
    lines = [
        (customer, day, item, f"s{number}")
        for number, (customer, day, items) in enumerate(baskets, start=first)
        for item in items
    ]
    n = len(lines)
    columns = {
        "event_id": [f"e{first}-{i}" for i in range(n)],
        "customer_id": [customer for customer, _, _, _ in lines],
        "item_id": [item for _, _, item, _ in lines],
        "type": [kind] * n,
        "time": [START + day * DAY + place for place, (_, day, _, _) in enumerate(lines)],
        "quantity": np.ones(n, np.int32),
        "amount": np.full(n, 100),
        "rating": pa.nulls(n, pa.float32()),
        "session_id": [session if sessions else None for _, _, _, session in lines],
        "context": ["{}"] * n,
        "recommendation_id": pa.nulls(n, pa.string()),
        "arrival": [START + day * DAY for _, day, _, _ in lines],
        "partition": np.full(n, -1, np.int32),
        "offset": np.arange(first * 1000, first * 1000 + n),
    }
    return pa.table(columns, schema=offline.SCHEMA)
