"""A shop's own table: any CSV or Parquet file with a mapping of its columns."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from streams.contracts.events import Customer, InteractionType, Item
from streams.sources.faults import faults
from streams.sources.instants import parse_instants
from streams.sources.mapping import Customers, Items, Mapping, MappingError, load_mapping, named, require
from streams.sources.source import SCHEMA, Source, cut, joined, json_objects
from streams.sources.text_table import PARQUET, column_names, file_fingerprint, read_columns

_MIN_INT, _MAX_INT = -(2**31), 2**31 - 1


class Tabular(Source):
    """Interactions of `file`, by the mapping in `mapping_file`; rows may be in any order.

    Rows that no stream would accept (`streams.sources.faults`) are left out and counted in `skipped`. Without
    [items] or [customers] in the mapping both are those that occur in the interactions.

    Raises
    ------
    FileNotFoundError: a file is missing.
    MappingError: the mapping doesn't fit the files.
    """

    def __init__(self, file: Path, mapping_file: Path) -> None:
        super().__init__()
        if not file.exists():
            raise FileNotFoundError(f"no file {file}")
        self.name = file.stem
        self._file, self._mapping_file = file, mapping_file
        self._mapping: Mapping = load_mapping(mapping_file)
        rows = self._mapping.interactions
        self._context = named(rows.context)
        keys = ("customer_id", "item_id", "time", "type_column", "event_id", "quantity", "price", "line_total")
        self._columns = {
            key: column for key in (*keys, "rating", "session_id") if (column := getattr(rows, key)) is not None
        }
        wanted = self._columns | {f"context.{name}": column for name, column in self._context.items()}
        require(mapping_file, "interactions", wanted, column_names(file, rows.form), file)

    def fingerprint(self) -> str:
        """Of the file and the mapping."""
        return file_fingerprint(self._file, self._mapping_file)

    def customers(self) -> Iterator[Customer]:
        """Rows of the customers' file, or the customers that occur."""
        given = self._mapping.customers
        if given is None:
            for customer in pc.unique(self._table["customer_id"]).to_pylist():
                yield Customer(customer_id=customer)
            return
        for row in self._rows(given, "customers", {"customer_id": given.customer_id}):
            yield Customer(customer_id=row["customer_id"], attributes=_attributes(row))

    def items(self) -> Iterator[Item]:
        """Rows of the items' file, or the items that occur."""
        given = self._mapping.items
        if given is None:
            for item in pc.unique(self._table["item_id"]).to_pylist():
                yield Item(item_id=item, name=item)
            return
        keys = {key: getattr(given, key) for key in ("item_id", "name", "price", "description")}
        for row in self._rows(given, "items", {key: column for key, column in keys.items() if column is not None}):
            yield Item(
                item_id=row["item_id"],
                name=row.get("name") or row["item_id"],
                price=self._item_price(row, given),
                attributes=_attributes(row),
                description=row.get("description") or "",
            )

    def chunks(self, start: int | None = None, stop: int | None = None) -> Iterator[pa.Table]:
        """The file's rows in order of time."""
        yield from cut(self._table, start, stop)

    def _rows(self, given: Items | Customers, table: str, keys: dict[str, str]) -> Iterator[dict[str, Any]]:
        """Rows of a side file: key -> text, "attributes.<name>" -> text; rows without an id are left out."""
        file = self._mapping_file.parent / given.file
        if not file.exists():
            raise FileNotFoundError(f"{self._mapping_file}: {table}.file names {given.file}, but there is no {file}")
        wanted = keys | {f"attributes.{name}": column for name, column in named(given.attributes).items()}
        require(self._mapping_file, table, wanted, column_names(file, given.form), file)
        raw = read_columns(file, list(wanted.values()), set(wanted.values()), given.form)
        identity = "item_id" if isinstance(given, Items) else "customer_id"
        for batch in pa.table([raw[column] for column in wanted.values()], names=list(wanted)).to_batches(10_000):
            for row in batch.to_pylist():
                if row[identity]:
                    yield row
                else:
                    self._skip(f"{table} without {identity}", 1)

    def _item_price(self, row: dict[str, Any], given: Items) -> float | None:
        text = row.get("price")
        if text is None:
            return None
        try:
            return float(text.replace(given.decimal_point, "."))
        except ValueError:
            raise MappingError(
                f"{self._mapping_file}: items.price: {text!r} of item {row['item_id']!r} is not a number"
            ) from None

    @cached_property
    def _table(self) -> pa.Table:
        """All rows as a table of `SCHEMA`, in order of time; rows of equal time keep the file's order."""
        mapping = self._mapping.interactions
        text = {
            self._columns[key]
            for key in ("customer_id", "item_id", "event_id", "session_id", "type_column")
            if key in self._columns
        } | set(self._context.values())
        if self._file.suffix not in PARQUET:
            text.add(mapping.time)  # the mapping says how to read it, not what it looks like
        needed = [*self._columns.values(), *self._context.values()]
        raw = read_columns(self._file, needed, text, mapping.form)
        time = parse_instants(
            raw[mapping.time], mapping.time_format, mapping.time_zone, f"{self._mapping_file}: interactions.time"
        )
        quantity, kind = self._quantity(raw), self._types(raw)
        negative = quantity < 0
        if mapping.negative_quantity == "return":
            kind = np.where(negative & (kind == InteractionType.PURCHASE), InteractionType.RETURN, kind)
            quantity = np.abs(quantity)
        # What neither is nor becomes a count of units counts as one.
        quantity = np.where((quantity == 0) | np.isnan(quantity), 1, quantity)
        table = pa.table(
            [
                self._ids(raw),
                raw[mapping.customer_id],
                raw[mapping.item_id],
                pa.array(kind, pa.string()),
                pa.array(time),
                pa.array(np.clip(quantity, _MIN_INT, _MAX_INT).astype(np.int32)),
                self._price(raw, quantity),
                self._numbers(raw, "rating"),
                raw[mapping.session_id] if mapping.session_id else pa.nulls(raw.num_rows, pa.string()),
                json_objects({name: raw[column] for name, column in self._context.items()}, raw.num_rows),
            ],
            names=SCHEMA.names,
        )
        keep = np.ones(raw.num_rows, dtype=bool)
        for reason, wrong in faults(table).items():
            self._skip(reason, int((wrong & keep).sum()))
            keep &= ~wrong
        rows = np.flatnonzero(keep)
        return table.take(pa.array(rows[np.argsort(time[rows], kind="stable")])).cast(SCHEMA)

    def _ids(self, raw: pa.Table) -> pa.ChunkedArray:
        numbers = pa.array(np.arange(raw.num_rows)).cast(pa.string())
        made = joined(pa.scalar(self._file.stem), numbers)
        column = self._mapping.interactions.event_id
        return pc.coalesce(raw[column], made) if column else made

    def _types(self, raw: pa.Table) -> np.ndarray[Any, Any]:
        """Type of each row, "" where the column's value has no translation: object[n]."""
        mapping = self._mapping.interactions
        if mapping.type_column is None:
            return np.full(raw.num_rows, str(mapping.type), dtype=object)
        names = {each.value: each.value for each in InteractionType}
        names |= {name: each.value for name, each in mapping.types.items()}
        encoded = raw[mapping.type_column].combine_chunks().dictionary_encode()
        meaning = np.array([*(names.get(value, "") for value in encoded.dictionary.to_pylist()), ""], dtype=object)
        if not any(meaning):
            found = ", ".join(map(repr, encoded.dictionary.to_pylist()[:10]))
            raise MappingError(
                f"{self._mapping_file}: interactions.type_column: no value of column {mapping.type_column!r} has a "
                f"translation; add a table [interactions.types] for: {found}"
            )
        translated: np.ndarray[Any, Any] = meaning[np.asarray(encoded.indices.fill_null(len(meaning) - 1))]
        return translated

    def _quantity(self, raw: pa.Table) -> np.ndarray[Any, np.dtype[np.float64]]:
        """float64[n], 1 where the file says nothing; fractions (weighed goods) are rounded up."""
        numbers = np.asarray(self._numbers(raw, "quantity").fill_null(1.0), dtype=np.float64)
        return np.copysign(np.ceil(np.abs(numbers)), numbers)

    def _price(self, raw: pa.Table, quantity: np.ndarray[Any, np.dtype[np.float64]]) -> pa.Array:
        """Unit prices; those below 0 are unknown."""
        totals = self._mapping.interactions.line_total is not None
        price = np.asarray(self._numbers(raw, "line_total" if totals else "price").fill_null(np.nan), dtype=np.float64)
        if totals:
            price = np.abs(price) / quantity
        return pa.array(price, mask=~(price >= 0))

    def _numbers(self, raw: pa.Table, key: str) -> pa.ChunkedArray | pa.Array:
        column = self._columns.get(key)
        if column is None:
            return pa.nulls(raw.num_rows, pa.float64())
        try:
            return raw[column].cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            texts = raw[column].to_pandas()
            wrong = texts[pd.to_numeric(texts, errors="coerce").isna() & texts.notna()]
            raise MappingError(
                f"{self._mapping_file}: interactions.{key}: row {wrong.index[0] + 1} of column {column!r} is "
                f"{wrong.iloc[0]!r}, not a number"
            ) from None

    def _skip(self, reason: str, rows: int) -> None:
        if rows:
            self.skipped[reason] = self.skipped.get(reason, 0) + rows


def _attributes(row: dict[str, Any]) -> dict[str, str]:
    return {
        key.removeprefix("attributes."): value
        for key, value in row.items()
        if key.startswith("attributes.") and value is not None
    }
