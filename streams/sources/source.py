"""The interface of a source, and what all of them share: columns to events, columns to the offline store."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams import offline
from streams.contracts.events import Customer, Interaction, InteractionType, Item, instant

SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("time", pa.int64(), nullable=False),  # microseconds since the epoch
        pa.field("quantity", pa.int32(), nullable=False),
        pa.field("price", pa.float64()),  # of one unit, major units
        pa.field("rating", pa.float64()),
        pa.field("session_id", pa.string()),
        pa.field("context", pa.string(), nullable=False),  # a JSON object
    ]
)
"""Columns of a chunk of interactions."""

CHUNK = 100_000
"""Rows of a chunk, about."""

_MAX_AMOUNT = 2**31 - 1


class Source(ABC):
    """Customers, items and interactions from somewhere. All of it is deterministic: twice the same, twice equal.

    Attributes
    ----------
    name: for people.
    skipped: reason -> rows that were left out, complete once `chunks` has been read to its end.
    """

    name: str

    def __init__(self) -> None:
        self.skipped: dict[str, int] = {}

    @abstractmethod
    def fingerprint(self) -> str:
        """Changes whenever the events could; a resumed replay compares it."""

    @abstractmethod
    def customers(self) -> Iterator[Customer]:
        """Every customer."""

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """Every item."""

    @abstractmethod
    def chunks(self, start: int | None = None, stop: int | None = None) -> Iterator[pa.Table]:
        """Interactions with `start` <= time < `stop` (microseconds) in time order, as tables of `SCHEMA`.

        Ties keep the source's own order. Times, ids and types are valid; a chunk is never empty.
        """

    def count(self, start: int | None = None, stop: int | None = None) -> int:
        """How many interactions `chunks` yields; sources that know it without reading say so quicker."""
        return sum(chunk.num_rows for chunk in self.chunks(start, stop))

    def span(self) -> tuple[int, int] | None:
        """Times of the first and the last interaction in microseconds; None if there is none."""
        first = last = None
        for chunk in self.chunks():
            first = chunk["time"][0].as_py() if first is None else first
            last = chunk["time"][-1].as_py()
        return None if first is None or last is None else (first, last)

    def interactions(self, start: int | None = None, stop: int | None = None) -> Iterator[list[Interaction]]:
        """The same as `chunks`, as events."""
        for chunk in self.chunks(start, stop):
            yield events(chunk)

    def interactions_table(
        self, start: int | None = None, stop: int | None = None, *, currency_exponent: int = 2
    ) -> pa.Table:
        """The same in the columns of the offline store, for bulk backfill.

        `arrival` is the event's time, `partition` is `offline.BACKFILL` and `offset` counts from 0. Lines above
        2**31 - 1 minor units are left out and counted, as the stream rejects them.
        """
        tables = list(self.chunks(start, stop))
        whole = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        amount = line_amounts(whole["price"], whole["quantity"], currency_exponent)
        if (too_much := amount > _MAX_AMOUNT).any():
            self.skipped["absurd price"] = self.skipped.get("absurd price", 0) + int(too_much.sum())
            whole, amount = whole.filter(pa.array(~too_much)), amount[~too_much]
        n = whole.num_rows
        columns = {
            "amount": pa.array(amount),
            "rating": whole["rating"].cast(pa.float32()),
            "recommendation_id": pa.nulls(n, pa.string()),
            "arrival": whole["time"],
            "partition": pa.array(np.full(n, offline.BACKFILL, dtype=np.int32)),
            "offset": pa.array(np.arange(n, dtype=np.int64)),
        }
        arrays = [columns[name] if name in columns else whole[name] for name in offline.SCHEMA.names]
        return pa.table(arrays, schema=offline.SCHEMA)


def line_amounts(
    price: pa.ChunkedArray, quantity: pa.ChunkedArray, exponent: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """`streams.contracts.codec.line_amount` of whole columns: int64[n], the same to the last unit."""
    known = np.asarray(price.fill_null(np.nan), dtype=np.float64)
    # The same operations in the same order as for one line, so that no rounding differs.
    amount = np.rint(known * np.asarray(quantity, dtype=np.float64) * 10.0**exponent)
    return np.where(np.isnan(amount), -1, amount).astype(np.int64)


def events(chunk: pa.Table) -> list[Interaction]:
    """Events of a chunk; a time in whole milliseconds goes as an integer, a finer one as RFC 3339."""
    contexts: dict[str, dict[str, str]] = {}
    for text in pc.unique(chunk["context"]).to_pylist():
        contexts[text] = msgspec.json.decode(text, type=dict[str, str])
    types = {each.value: each for each in InteractionType}
    columns = [chunk[name].to_pylist() for name in SCHEMA.names]
    return [
        Interaction(
            event_id=event_id,
            customer_id=customer_id,
            item_id=item_id,
            type=types[kind],
            timestamp=instant(time) if time % 1000 else time // 1000,
            quantity=quantity,
            price=price,
            rating=rating,
            session_id=session_id,
            context=contexts[context],
        )
        for event_id, customer_id, item_id, kind, time, quantity, price, rating, session_id, context in zip(
            *columns, strict=True
        )
    ]


def between(time: pa.ChunkedArray, start: int | None, stop: int | None) -> slice:
    """Rows of an ascending column of microseconds with start <= time < stop."""
    values = np.asarray(time, dtype=np.int64)
    first = 0 if start is None else int(np.searchsorted(values, start))
    last = len(values) if stop is None else int(np.searchsorted(values, stop))
    return slice(first, max(first, last))


def cut(table: pa.Table, start: int | None, stop: int | None) -> Iterator[pa.Table]:
    """Chunks of a table in time order, limited to a span of time."""
    rows = between(table["time"], start, stop)
    for first in range(rows.start, rows.stop, CHUNK):
        yield table.slice(first, min(CHUNK, rows.stop - first))


def joined(*columns: pa.ChunkedArray | pa.Array | str) -> pa.ChunkedArray:
    """Text columns joined row by row with '-'."""
    return pc.binary_join_element_wise(*columns, "-")


def json_objects(columns: dict[str, pa.ChunkedArray], length: int) -> pa.Array:
    """One JSON object of strings a row, without the fields that are null; each distinct one is encoded once."""
    if not columns:
        return pa.repeat(pa.scalar("{}"), length)
    names = list(columns)
    codes = np.zeros(length, dtype=np.int64)
    values: list[list[str | None]] = []
    for name in names:
        encoded = columns[name].cast(pa.string()).combine_chunks().dictionary_encode()
        distinct = [*encoded.dictionary.to_pylist(), None]
        index = np.asarray(encoded.indices.fill_null(len(distinct) - 1), dtype=np.int64)
        codes = codes * len(distinct) + index
        values.append(distinct)
    seen, which = np.unique(codes, return_inverse=True)
    objects = []
    for code in seen.tolist():
        row: dict[str, str] = {}
        for name, distinct in zip(reversed(names), reversed(values), strict=True):
            code, at = divmod(code, len(distinct))
            value = distinct[at]
            if value is not None:
                row[name] = value
        objects.append(msgspec.json.encode(dict(reversed(row.items()))).decode())
    return pa.array(objects, pa.string()).take(pa.array(which))
