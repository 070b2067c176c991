"""Times as other people write them, turned into microseconds since the epoch."""

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from streams.sources.mapping import MappingError

EPOCH_UNITS = {"s": 1_000_000, "ms": 1000, "us": 1}
MISSING = np.iinfo(np.int64).min


def parse_instants(column: pa.ChunkedArray, form: str, zone: str, key: str) -> npt.NDArray[np.int64]:
    """Microseconds since the epoch, int64[n]; `MISSING` where the cell is empty.

    Parameters
    ----------
    column: text, numbers, dates or timestamps; the latter two need no form.
    form: "iso", "s", "ms", "us", or a strptime pattern.
    zone: IANA name for times that name none.
    key: how errors call the column.

    Raises
    ------
    MappingError: a cell doesn't fit the form, or there is no such zone; names row and value.
    """
    try:
        where = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise MappingError(f"{key}_zone: {zone!r} is no IANA time zone such as 'Europe/Berlin'") from None
    if pa.types.is_temporal(column.type):
        return _micros(pd.to_datetime(column.to_pandas()), where)
    if form in EPOCH_UNITS:
        return _numeric(column, EPOCH_UNITS[form], form, key)
    cells = column.cast(pa.string()).to_pandas()
    names_zone = _names_zone(cells, form)
    micros = np.full(len(cells), MISSING, dtype=np.int64)
    for zoned in (True, False):
        part = cells[names_zone] if zoned else cells[~names_zone]
        if len(part):
            micros[names_zone.to_numpy() == zoned] = _micros(_textual(part, form, zoned, key), where)
    return micros


def _names_zone(cells: "pd.Series[Any]", form: str) -> "pd.Series[bool]":
    """Which texts say their zone themselves."""
    if form != "iso":
        return pd.Series("%z" in form.lower(), index=cells.index)
    return cells.str.contains(r":.*(?:[zZ]|[+-]\d\d:?\d\d|[+-]\d\d)$", regex=True, na=False).astype(bool)


def _numeric(column: pa.ChunkedArray, factor: int, form: str, key: str) -> npt.NDArray[np.int64]:
    cells = column.to_pandas()
    numbers = pd.to_numeric(cells, errors="coerce")
    _refuse(cells, numbers.isna() & cells.notna(), form, key)
    if numbers.isna().any() or numbers.dtype.kind == "f":
        scaled = np.rint(numbers.to_numpy(dtype=np.float64, na_value=np.nan) * factor)
        return np.where(np.isnan(scaled), MISSING, np.nan_to_num(scaled)).astype(np.int64)
    return np.asarray(numbers.to_numpy(dtype=np.int64) * factor)


def _textual(cells: "pd.Series[Any]", form: str, zoned: bool, key: str) -> "pd.Series[Any]":
    pattern = "ISO8601" if form == "iso" else form
    parsed: pd.Series[Any] = pd.to_datetime(cells, format=pattern, errors="coerce", utc=zoned)
    _refuse(cells, parsed.isna() & cells.notna(), form, key)
    return parsed


def _refuse(cells: "pd.Series[Any]", wrong: "pd.Series[bool]", form: str, key: str) -> None:
    if wrong.any():
        row = wrong.index[int(np.flatnonzero(wrong.to_numpy())[0])]
        raise MappingError(
            f"{key}: row {row + 1} is {cells[row]!r}, which time_format = {form!r} does not fit; give the "
            f'strptime pattern, or "iso", "s", "ms" or "us"'
        )


def _micros(parsed: "pd.Series[Any]", where: ZoneInfo) -> npt.NDArray[np.int64]:
    if parsed.dt.tz is None:
        # An hour that the clocks skip or repeat: the later reading, without a failure for two rows a year.
        parsed = parsed.dt.tz_localize(where, ambiguous=np.zeros(len(parsed), dtype=bool), nonexistent="shift_forward")
    utc = parsed.dt.tz_convert("UTC").dt.tz_localize(None)
    values = utc.astype("datetime64[us]").to_numpy()
    return np.where(np.isnat(values), MISSING, values.astype(np.int64))
