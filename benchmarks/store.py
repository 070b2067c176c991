"""The fast store against Feast's own reading and writing: same rows, same Redis, one run."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from feature_repo.apply import apply, open_feature_store
from feature_repo.items_state import ITEM_STATE
from feature_repo.online_store import VERSION, Columns, OnlineStore
from feature_repo.purchases import PURCHASE
from feature_repo.redis_commands import connect
from feature_repo.rows import Selection
from feature_repo.shop import Shop, shop_from_environment
from feature_repo.value_proto import ValueType
from feature_repo.views import ViewLayout, customer_purchases, item_catalogue, item_purchases

BATCH = 1000
"""Rows written at a time."""

ITEMS_READ = 500
"""Items read at a time, as for one answer's candidates."""

ITEM_FEATURES = {
    "item_purchases": ("purchases", "quantity", "spend", "buyers", "repeats"),
    "item_catalogue": ("price",),
}
"""Features of an item that are read; with two of the shop's item attributes."""

START = 1_500_000_000_000_000
HISTORY = 60
"""Mean purchase lines of a customer."""


def run(
    redis_url: str = "redis://127.0.0.1:6379",
    *,
    rows: int = 20_000,
    pushes: int = 100,
    reads: int = 200,
    shop: Shop | None = None,
) -> dict[str, Any]:
    """Write and read customers and items both ways and compare.

    Parameters
    ----------
    redis_url
        A Redis to measure on; entities named ``bench-…`` are written to it and removed again.
    rows
        Rows that the fast store writes; Feast gets `BATCH` of them in one push.
    pushes
        Pushes of one row through Feast.
    reads
        Repetitions of each read.
    shop
        The shop whose views are used; by default the environment's.

    Returns
    -------
    dict
        ``write`` (rows/s), ``read_items`` and ``read_customer`` (``p50_ms``, ``p99_ms``), each for ``headwater`` and
        ``feast`` with their ``ratio``; ``mismatched``: values that the two read differently.
    """
    profile = shop or shop_from_environment()
    store = OnlineStore(connect(redis_url))
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        feast_store = open_feature_store(redis_url, state)
        apply(feast_store, profile, state / "offline")
        bench = _Bench(profile, store, feast_store)
        with bench.cleaned_up(rows):
            result = {"write": bench.write(rows, pushes)}
            result["read_items"], wrong_items = bench.read_items(reads)
            result["read_customer"], wrong_customers = bench.read_customer(reads)
            return {**result, "mismatched": wrong_items + wrong_customers, "rows": rows, "reads": reads}


def push_rates(redis_url: str, shop: Shop, pushes: int = 200, batches: int = 3) -> tuple[float, float]:
    """Return how many rows a second Feast's own `push` writes: one row at a time, and `BATCH` rows at a time."""
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        feast_store = open_feature_store(redis_url, state)
        apply(feast_store, shop, state / "offline")
        bench = _Bench(shop, OnlineStore(connect(redis_url)), feast_store)
        with bench.cleaned_up(BATCH):
            columns = bench.columns(bench.customers, BATCH)
            bench.push(columns, 1, 1)  # connections, caches
            return bench.push(columns, 1, pushes), bench.push(columns, BATCH, batches)


class _Bench:
    def __init__(self, shop: Shop, store: OnlineStore, feast_store: Any) -> None:
        self.store = store
        self.feast = feast_store
        self.customers = customer_purchases(shop)
        self.items = (item_purchases(shop), item_catalogue(shop))
        self.generator = np.random.default_rng(1)
        attributes = shop.item_attributes[:2]
        self.item_features = {**ITEM_FEATURES, "item_catalogue": (*ITEM_FEATURES["item_catalogue"], *attributes)}

    @contextmanager
    def cleaned_up(self, rows: int) -> Iterator[None]:
        try:
            yield
        finally:
            self.store.delete_entities(self.customers.entity, [*_names(rows), "bench-pushed"])
            self.store.delete_entities(self.items[0].entity, _names(ITEMS_READ))

    def columns(self, layout: ViewLayout, n: int) -> dict[str, Any]:
        """Values with the sizes and the spread of a shop's."""
        sizes = self.generator.poisson(HISTORY, n) * PURCHASE.itemsize
        makers: dict[ValueType, Callable[[], Any]] = {
            ValueType.INT64: lambda: self.generator.integers(0, START, n),
            ValueType.STRING: lambda: [f"VALUE NO. {i}" for i in self.generator.integers(0, 500, n)],
            ValueType.BYTES: lambda: [self.generator.bytes(size) for size in sizes],
            ValueType.BOOL: lambda: [True] * n,
            ValueType.DOUBLE: lambda: self.generator.random(n),
        }
        made = {name: makers[kind]() for name, kind in layout.features}
        for ring in (name for name in ("daily", "hot") if name in made):
            made[ring] = [self.generator.bytes(ITEM_STATE[ring].itemsize) for _ in range(n)]
        return made

    def write(self, rows: int, pushes: int) -> dict[str, Any]:
        ids, columns = _names(rows), self.columns(self.customers, rows)
        batches = [slice(start, start + BATCH) for start in range(0, rows, BATCH)]
        parts = [{name: values[batch] for name, values in columns.items()} for batch in batches]
        started = time.perf_counter()
        for batch, part in zip(batches, parts, strict=True):
            self._write(self.customers, ids[batch], part)
        ours = rows / (time.perf_counter() - started)

        batched, single = self.push(columns, min(BATCH, rows), 1), self.push(columns, 1, pushes)
        return {
            "headwater_rows_per_s": ours,
            "feast_push_rows_per_s": single,
            "feast_push_in_batches_rows_per_s": batched,
            "ratio": ours / single,
            "ratio_in_batches": ours / batched,
        }

    def push(self, columns: Columns, rows: int, times: int) -> float:
        """Push some customers' rows through Feast again and again; rows a second."""
        few = {name: values[:rows] for name, values in columns.items()}
        ids = _names(rows) if rows > 1 else ["bench-pushed"]
        started = time.perf_counter()
        for _ in range(times):
            self.feast.push(f"{self.customers.name}_push", _frame(self.customers, ids, few, datetime.now(UTC)))
        return rows * times / (time.perf_counter() - started)

    def read_items(self, reads: int) -> tuple[dict[str, Any], int]:
        ids = _names(ITEMS_READ)
        for layout in self.items:
            self._write(layout, ids, self.columns(layout, len(ids)), f"{VERSION}:{layout.name}")
        return self._compare(Selection.of(*self.items, features=self.item_features), ids, reads)

    def read_customer(self, reads: int) -> tuple[dict[str, Any], int]:
        return self._compare(Selection.of(self.customers), _names(1), reads)

    def _write(self, layout: ViewLayout, ids: list[str], columns: Columns, field: str = "hw:bench") -> None:
        versions = np.zeros(len(ids), dtype=np.int64)
        self.store.write_rows(layout, ids, columns, versions + START, versions, version_field=field, replace_same=True)

    def _compare(self, selection: Selection, ids: list[str], reads: int) -> tuple[dict[str, Any], int]:
        chosen = [(view, name) for view, names in selection.features.items() for name in names]
        references = [f"{view}:{name}" for view, name in chosen]
        entities = [{selection.entity.join_key: name} for name in ids]

        def ours() -> dict[str, list[Any]]:
            found = self.store.read_rows(selection, ids)
            return {f"{view}__{name}": _column(found, view, name) for view, name in chosen}

        def feasts() -> dict[str, list[Any]]:
            answer = self.feast.get_online_features(references, entities, full_feature_names=True)
            columns: dict[str, list[Any]] = answer.to_dict()
            return columns

        left, right = ours(), feasts()
        wrong = sum(a != b for name in left for a, b in zip(left[name], right[name], strict=True))
        mine, theirs = _timed(ours, reads), _timed(feasts, reads)
        return {"headwater": mine, "feast": theirs, "ratio": theirs["p50_ms"] / mine["p50_ms"]}, wrong


def _column(found: Any, view: str, name: str) -> list[Any]:
    _, kind = found.selection.position(view, name)
    column: list[Any] = found.int64(view, name).tolist() if kind is ValueType.INT64 else found.values(view, name)
    return column


def _names(n: int) -> list[str]:
    return [f"bench-{i}" for i in range(n)]


def _frame(layout: ViewLayout, ids: list[str], columns: Columns, at: datetime) -> Any:
    import pandas as pd

    return pd.DataFrame({layout.entity.join_key: ids, **columns, "event_timestamp": [at] * len(ids)})


def _timed(action: Callable[[], object], times: int) -> dict[str, float]:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return {"p50_ms": float(p50), "p99_ms": float(p99)}
