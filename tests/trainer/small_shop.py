"""A small shop with a taste: customers buy from their own brand, again and again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from feature_repo.catalogue import Catalogue, CatalogueItem
from feature_repo.purchases import DAY
from feature_repo.shop import Shop
from streams import offline
from trainer.recipe import Recipe

SHOP = Shop(
    name="small", item_attributes=("brand", "kind"), customer_attributes=("city",), category="kind",
    preference_attributes=("brand", "kind"), context_attributes=("store",),
)  # fmt: skip
BRANDS, ITEMS, CUSTOMERS = 5, 120, 90
START = 17_000 * DAY

RECIPE = Recipe(
    windows=2, window_days=20, rare=2, held_out=0.2, ranker_batch=512, ranker_epochs=3, tower_batch=128,
    tower_epochs=16, ranker_bottom=(16,), ranker_top=(16,), ranker_embedding=8, tower_hidden=32, tower_dimension=8,
    tower_identity=8, tower_attribute=8, ranker_rate=5e-3, tower_rate=1e-2, least_stacked=50, tree_smallest=5,
)  # fmt: skip


def table(days: int = 60, seed: int = 0, first_event: int = 0, start: int = START, newcomers: int = 0) -> pa.Table:
    """Purchases as the offline store holds them; `newcomers` items, customers, stores beyond the usual also appear."""
    rng = np.random.default_rng(seed)
    n = days * 60
    customer = rng.integers(0, CUSTOMERS + newcomers, n)
    rank = np.minimum(rng.geometric(0.15, n) - 1, ITEMS // BRANDS - 1)
    own = rng.random(n) < 0.95
    item = np.where(own, rank * BRANDS + customer % BRANDS, rng.integers(0, ITEMS + newcomers, n))
    if newcomers:
        item[::10] = ITEMS + np.arange(len(item[::10])) % newcomers
    time = np.sort(start + rng.integers(0, days * DAY, n))
    columns = {
        "event_id": [f"e{first_event + i}" for i in range(n)],
        "customer_id": [f"c{c}" for c in customer],
        "item_id": [f"i{i}" for i in item],
        "type": ["purchase"] * n,
        "time": time,
        "quantity": rng.integers(1, 3, n).astype(np.int32),
        "amount": rng.integers(100, 2000, n),
        "rating": pa.nulls(n, pa.float32()),
        "session_id": pa.nulls(n, pa.string()),
        "context": [f'{{"store":"s{(first_event + i) % (3 + newcomers)}"}}' for i in range(n)],
        "recommendation_id": pa.nulls(n, pa.string()),
        "arrival": time,
        "partition": np.full(n, -1, np.int32),
        "offset": np.arange(first_event, first_event + n),
    }
    return pa.table(columns, schema=offline.SCHEMA)


def store(path: Path, *tables: pa.Table) -> Path:
    """An offline store of these tables, one range after the other."""
    start = 0
    for each in tables:
        offline.write_range(path, each, offline.BACKFILL, start, start + each.num_rows)
        start += each.num_rows
    return path


def catalogue() -> Catalogue:
    """All usual items."""
    found = Catalogue(SHOP.item_attributes)
    found.upsert(
        CatalogueItem(f"i{i}", f"item {i}", attributes={"brand": f"b{i % BRANDS}", "kind": f"k{i % 7}"})
        for i in range(ITEMS)
    )
    return found


def profiles() -> dict[str, dict[str, str]]:
    """Half of the customers have one."""
    return {f"c{c}": {"city": f"town {c % 3}"} for c in range(0, CUSTOMERS, 2)}
