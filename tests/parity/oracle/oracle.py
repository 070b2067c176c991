"""Features recomputed from the accepted interactions by plain SQL in DuckDB.

Nothing here knows the kernels: the definitions are written down a second time, in another language, so that a
mistake has to be made twice to go unseen. The SQL lies beside this file, one table or answer a file.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa

HERE = Path(__file__).parent

HISTORY = np.dtype([("time", "<i8"), ("item", "<u8"), ("quantity", "<i4"), ("amount", "<i4")])
RECENT = np.dtype([("time", "<i8"), ("item", "<u8"), ("type", "<i4"), ("weight", "<f4")])
"""How a customer's history and other interactions are stored, restated from the description of the format."""

RING_DAYS, RING_SLOTS = 64, 32

Columns = dict[str, Any]
"""Columns by name: numpy arrays, lists of str or lists of bytes."""


class ShopProfile(Protocol):
    """What the oracle has to know of a shop."""

    @property
    def currency_exponent(self) -> int: ...
    @property
    def category(self) -> str: ...
    @property
    def preference_attributes(self) -> tuple[str, ...]: ...


class CatalogueEntry(Protocol):
    """An item of the catalogue; `price` in minor units, -1 where unknown."""

    @property
    def item_id(self) -> str: ...
    @property
    def price(self) -> int: ...
    @property
    def attributes(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Bounds:
    """Limits of a customer's state, and the window of arrival in which an event id counts once (microseconds)."""

    history: int = 4096
    recent: int = 64
    dedupe_window: int = 48 * 3_600_000_000


DEFAULT_BOUNDS = Bounds()


def key_of(identifier: str) -> int:
    """The 64-bit key that stands for an id in packed records."""
    return int.from_bytes(blake2b(identifier.encode(), digest_size=8).digest(), "little")


class Oracle:
    """Features at an instant, from all interactions given.

    Parameters
    ----------
    shop
        Names the category and the attributes.
    interactions
        The offline store's directory, or its columns ``event_id, customer_id, item_id, type, time, quantity,
        amount, rating, arrival, partition, offset`` as a table.
    items
        The catalogue in the order of its rows.
    as_of
        Microseconds since the epoch.
    """

    def __init__(
        self,
        shop: ShopProfile,
        interactions: pa.Table | Path | str,
        items: Iterable[CatalogueEntry],
        as_of: int,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        self.shop = shop
        self._sql = duckdb.connect()
        self._sql.execute("SET enable_progress_bar = false")
        self._load_interactions(interactions)
        self._load_catalogue(list(items))
        self._sql.execute(
            "CREATE TABLE settings AS SELECT ?::BIGINT AS as_of, ?::BIGINT AS history_limit, ?::BIGINT AS recent_limit,"
            " ?::BIGINT AS dedupe_window, ?::INTEGER AS currency_exponent, ?::VARCHAR AS category",
            [as_of, bounds.history, bounds.recent, bounds.dedupe_window, shop.currency_exponent, shop.category],
        )
        for step in ("events", "lines", "items"):
            self._run(step)
        self._engaged = self._affine = False

    def customers(self) -> Columns:
        """``customer_id`` (sorted) and all that is stored of a customer."""
        out = self._columns("customers")
        for attribute in self.shop.preference_attributes:
            tastes = self._columns("preferences", wanted=attribute)
            if list(tastes["customer_id"]) != list(out["customer_id"]):
                raise AssertionError(f"preferences of {attribute!r} are not of the same customers")
            out[f"most_purchased_{attribute}"] = tastes["most_purchased"]
            out[f"last_purchased_{attribute}"] = tastes["last_purchased"]
        self._engage()
        ids = list(out["customer_id"])
        out["history"] = self._packed(ids, "history", HISTORY, "time, item_key, quantity, amount")
        out["recent"] = self._packed(ids, "recent", RECENT, "time, item_key, code, weight")
        return out

    def rfm(self) -> Columns:
        """``customer_id`` (sorted) and RFM at the instant."""
        self._sql.execute(f"CREATE OR REPLACE TEMP TABLE customers AS {_text('customers')}")
        return self._columns("rfm")

    def sessions(self) -> Columns:
        """``customer_id`` (sorted) and the columns of the session at the instant."""
        self._engage()
        return self._columns("session_customers")

    def items(self) -> Columns:
        """``item_id`` (sorted) and what is stored of an item; ``daily`` are the bytes of 64 int32, ``hot`` of 32."""
        out = self._fetch("SELECT * FROM item_sums ORDER BY item_id")
        n = len(out["item_id"])
        out["daily"] = self._rings(n, "SELECT item_id, day AS moment, lines AS number FROM item_days", RING_DAYS)
        out["hot"] = self._rings(n, "SELECT item_id, slot AS moment, weight AS number FROM item_slots", RING_SLOTS)
        return out

    def _rings(self, n: int, counts: str, width: int) -> list[bytes]:
        """The bytes of each item's ring of int32."""
        found = self._fetch(
            f"SELECT rank - 1 AS row, moment, number FROM ({counts}) JOIN"  # noqa: S608
            " (SELECT item_id, row_number() OVER (ORDER BY item_id) AS rank FROM item_sums) USING (item_id)"
        )
        ring = np.zeros((n, width), dtype="<i4")
        ring[np.asarray(found["row"]), np.asarray(found["moment"]) % width] = found["number"]
        return [row.tobytes() for row in ring]

    def popularity(self) -> Columns:
        """``item_id`` (sorted) and the popularity columns at the instant."""
        return self._columns("popularity")

    def bought_pairs(self) -> Columns:
        """``customer_id`` and ``item_id`` of every pair of which the customer holds a purchase."""
        self._relate()
        return self._fetch("SELECT customer_id, item_id FROM pairs ORDER BY customer_id, item_id")

    def pairs(self, customer_ids: Sequence[str], item_ids: Sequence[str]) -> Columns:
        """The pair, session, category and share columns of the given pairs, and their items' trends, in their order."""
        self._relate()
        candidates = pa.table(
            {
                "place": np.arange(len(customer_ids)),
                "customer_id": pa.array(list(customer_ids), pa.string()),
                "item_id": pa.array(list(item_ids), pa.string()),
            }
        )
        self._sql.register("given_pairs", candidates)
        self._sql.execute("CREATE OR REPLACE TEMP TABLE candidates AS SELECT * FROM given_pairs")
        out = self._columns("candidates")
        if not self.shop.category:
            out = {name: column for name, column in out.items() if "category_" not in name}
        for attribute in self.shop.preference_attributes:
            out[f"share_of_{attribute}"] = self._columns("shares", wanted=attribute)["share"]
        return out

    def _load_interactions(self, interactions: pa.Table | Path | str) -> None:
        if isinstance(interactions, pa.Table):
            self._sql.register("given", interactions)
            self._sql.execute("CREATE TABLE interactions AS SELECT * FROM given")
        else:
            files = committed_files(Path(interactions))
            self._sql.execute("CREATE TABLE interactions AS SELECT * FROM read_parquet(?)", [files])
        ids = [row[0] for row in self._sql.execute("SELECT DISTINCT item_id FROM interactions").fetchall()]
        keys = pa.table({"item_id": pa.array(ids, pa.string()), "item_key": pa.array(map(key_of, ids), pa.uint64())})
        self._sql.register("given_keys", keys)
        self._sql.execute("CREATE TABLE item_keys AS SELECT * FROM given_keys")

    def _load_catalogue(self, items: list[CatalogueEntry]) -> None:
        wanted = sorted({*self.shop.preference_attributes, *([self.shop.category] if self.shop.category else [])})
        ids = pa.array([item.item_id for item in items], pa.string())
        rows = pa.table(
            {
                "item_id": ids,
                "catalogue_row": pa.array(range(len(items)), pa.int64()),
                "price": pa.array([item.price for item in items], pa.int64()),
            }
        )
        self._sql.register("given_items", rows)
        self._sql.execute("CREATE TABLE items AS SELECT * FROM given_items")
        self._sql.execute("CREATE TABLE item_values (item_id VARCHAR, attribute VARCHAR, value VARCHAR)")
        for attribute in wanted:
            values = pa.array([item.attributes.get(attribute, "") for item in items], pa.string())
            self._sql.register("given_values", pa.table({"item_id": ids, "value": values}))
            self._sql.execute("INSERT INTO item_values SELECT item_id, ?, value FROM given_values", [attribute])

    def _engage(self) -> None:
        if not self._engaged:
            self._run("engagement")
            self._run("sessions")
            self._engaged = True

    def _relate(self) -> None:
        if not self._affine:
            self._engage()
            self._run("pairs")
            self._run("tastes")
            self._affine = True

    def _packed(self, ids: list[str], table: str, dtype: np.dtype[Any], fields: str) -> list[bytes]:
        """Each customer's rows of a table, oldest first, in the bytes of the stored format."""
        rows = self._fetch(f"SELECT customer_id, {fields} FROM {table} ORDER BY customer_id, {fields}")  # noqa: S608
        packed = np.empty(len(rows["customer_id"]), dtype=dtype)
        for name, field in zip(dtype.names or (), fields.split(", "), strict=True):
            packed[name] = rows[field]
        owner = np.asarray(rows["customer_id"], dtype=object)
        starts = np.searchsorted(owner, np.array(ids, dtype=object), side="left")
        ends = np.searchsorted(owner, np.array(ids, dtype=object), side="right")
        return [packed[a:b].tobytes() for a, b in zip(starts, ends, strict=True)]

    def _run(self, name: str) -> None:
        self._sql.execute(_text(name))

    def _columns(self, name: str, **parameters: str) -> Columns:
        return self._fetch(_text(name), parameters)

    def _fetch(self, query: str, parameters: dict[str, str] | None = None) -> Columns:
        table = self._sql.sql(query, params=parameters or None).to_arrow_table()
        return {
            name: column.to_pylist() if pa.types.is_string(column.type) else column.to_numpy()
            for name, column in zip(table.column_names, table.columns, strict=True)
        }


def committed_files(store: Path) -> list[str]:
    """The Parquet files that the offline store's commit markers list.

    Raises
    ------
    ValueError
        When there is none.
    """
    markers = [json.loads(path.read_text()) for path in sorted((store / "commits").glob("[!.]*.json"))]
    files = sorted({str(store / file) for marker in markers for file in marker["files"]})
    if not files:
        raise ValueError(f"the offline store {store} holds no committed interactions: replay or backfill first")
    return files


def _text(name: str) -> str:
    return (HERE / f"{name}.sql").read_text(encoding="utf-8")
