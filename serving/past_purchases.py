"""What a customer holds, by item: for people to read beside an answer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from feature_repo.affinity import item_affinities
from feature_repo.catalogue import Catalogue
from serving.customers import Customers


class PastPurchase(NamedTuple):
    """An item that the customer bought and did not return whole; `last_at` in microseconds since the epoch."""

    item_id: str
    name: str
    lines: int
    last_at: int


def past_purchases(customers: Customers, catalogue: Catalogue, place: int = 0) -> list[PastPurchase]:
    """Items in one customer's kept history, the latest first; items that `catalogue` does not know are left out."""
    held = item_affinities(customers.histories, catalogue, np.zeros(len(customers.ids), np.int64))
    own = slice(held.offsets[place], held.offsets[place + 1])
    found = [
        PastPurchase(catalogue.item_ids[row], catalogue.names[row], lines, last_at)
        for row, lines, last_at in zip(
            held.row[own].tolist(), held.lines[own].tolist(), held.last_at[own].tolist(), strict=True
        )
    ]
    return sorted(found, key=lambda each: (-each.last_at, -each.lines, each.item_id))
