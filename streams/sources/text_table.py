"""Reading CSV and Parquet files whose columns are named by somebody else."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

PARQUET = {".parquet", ".pq"}


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV is written; Parquet files need none of it."""

    delimiter: str = ","
    decimal_point: str = "."
    encoding: str = "utf-8"


KAGGLE = CsvFormat()


def read_columns(path: Path, columns: Sequence[str], text: Collection[str] = (), form: CsvFormat = KAGGLE) -> pa.Table:
    """Read the named columns of a file.

    Parameters
    ----------
    text: columns to take as text, so that ids keep their leading zeros. In a CSV empty cells are null.
    form: of a CSV.

    Raises
    ------
    FileNotFoundError: no such file.
    KeyError: a column is missing; use `column_names` first for a better message.
    ValueError: the file is no CSV of that form.
    """
    names = list(dict.fromkeys(columns))
    if path.suffix in PARQUET:
        table = pq.read_table(path, columns=names)
        for name in text:
            at = table.schema.get_field_index(name)
            table = table.set_column(at, name, _as_text(table[name]))
        return table.select(names)
    try:
        return pa_csv.read_csv(path, **_csv_options(names, text, form))
    except (pa.ArrowInvalid, UnicodeDecodeError, LookupError) as error:
        raise _unreadable(path, error, form) from error


def stream_columns(path: Path, columns: Sequence[str], text: Collection[str], block: int) -> Iterator[pa.Table]:
    """The same for a CSV too large for memory: tables of about `block` bytes each, in the file's order."""
    options = _csv_options(list(columns), text, KAGGLE)
    options["read_options"].block_size = block
    with pa_csv.open_csv(path, **options) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def column_names(path: Path, form: CsvFormat = KAGGLE) -> list[str]:
    """Columns of a file, in its order."""
    if path.suffix in PARQUET:
        return list(pq.read_schema(path).names)
    options = _csv_options([], (), form)
    del options["convert_options"]
    try:
        with pa_csv.open_csv(path, **options) as reader:
            return list(reader.schema.names)
    except (pa.ArrowInvalid, UnicodeDecodeError, LookupError) as error:
        raise _unreadable(path, error, form) from error


def _unreadable(path: Path, error: Exception, form: CsvFormat) -> ValueError:
    return ValueError(
        f"{path} can't be read as a CSV with delimiter {form.delimiter!r} and encoding {form.encoding!r}: {error}"
    )


def file_fingerprint(*paths: Path) -> str:
    """Of files' sizes, beginnings and ends; quick for large ones, yet no edit that adds a row escapes it."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            digest.update(file.read(65_536))
            file.seek(max(0, size - 65_536))
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as text without a decimal point, where they are whole."""
    if pa.types.is_floating(column.type):
        whole = column.cast(pa.int64(), safe=False)
        if whole.cast(column.type).equals(column):
            column = whole
    return column.cast(pa.string())


def _csv_options(names: list[str], text: Collection[str], form: CsvFormat) -> dict[str, Any]:
    return {
        "read_options": pa_csv.ReadOptions(encoding=form.encoding),
        "parse_options": pa_csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True),
        "convert_options": pa_csv.ConvertOptions(
            include_columns=names,
            decimal_point=form.decimal_point,
            column_types=dict.fromkeys(text, pa.string()),
            strings_can_be_null=True,
            null_values=["", "NULL", "null", "NaN", "nan", "NA", "N/A"],
            quoted_strings_can_be_null=True,
        ),
    }
