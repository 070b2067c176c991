"""What a part of the lists looks like on disk: Parquet, CSV, or a submission to Kaggle's H&M competition."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class Format(StrEnum):
    """How lists are written."""

    PARQUET = "parquet"
    """A row for each customer: `lists.SCHEMA`."""
    CSV = "csv"
    """A row for each item of a list: customer_id, rank (from 1), item_id, score, reason."""
    HM = "hm"
    """Kaggle's: a row for each customer, customer_id and prediction, which is item ids with a space between."""

    @property
    def suffix(self) -> str:
        """Of the files."""
        return ".parquet" if self is Format.PARQUET else ".csv"


SUBMISSION = "submission.csv"
"""The one file that Kaggle takes: all parts behind each other."""

CSV_HEADER = ("customer_id", "rank", "item_id", "score", "reason")
HM_HEADER = ("customer_id", "prediction")


def encoded(table: pa.Table, form: Format) -> bytes:
    """The content of a file for a table of `lists.SCHEMA`."""
    return _WRITERS[form](table)


def submission(parts: Iterable[Path], target: Path) -> None:
    """Join parts of the format `hm`, in order, under one header."""
    draft = target.with_name(f".{target.name}.draft")
    with draft.open("wb") as file:
        file.write(_text([HM_HEADER], []))
        for part in parts:
            with part.open("rb") as rows:
                rows.readline()
                file.write(rows.read())
    draft.replace(target)


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _csv(table: pa.Table) -> bytes:
    rows = (
        (customer, rank, item, score, reason or "")
        for customer, items, scores, reason in _rows(table)
        for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1)
    )
    return _text([CSV_HEADER], rows)


def _hm(table: pa.Table) -> bytes:
    return _text([HM_HEADER], ((customer, " ".join(items)) for customer, items, _, _ in _rows(table)))


def _rows(table: pa.Table) -> Iterable[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _text(header: Iterable[Iterable[object]], rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(header)
    writer.writerows(rows)
    return text.getvalue().encode()


_WRITERS: dict[Format, Callable[[pa.Table], bytes]] = {Format.PARQUET: _parquet, Format.CSV: _csv, Format.HM: _hm}
