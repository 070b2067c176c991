"""Comparing columns of features: integers, strings and bytes exactly, floats within a relative tolerance."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RELATIVE = 1e-9
"""Largest difference of two floats relative to the larger one."""

ABSOLUTE = 1e-12
"""Largest difference of two floats that are next to nothing, such as sums whose terms cancel."""

WORST = 10
"""Examples kept of each column."""


@dataclass(frozen=True)
class Mismatch:
    """One cell that differs."""

    entity: str
    column: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        return f"{self.column} of {self.entity}: expected {_short(self.expected)}, found {_short(self.actual)}"


@dataclass(frozen=True)
class ColumnReport:
    """What came of one column: cells compared, cells that differ, the worst of these first."""

    column: str
    checked: int
    mismatched: int
    worst: tuple[Mismatch, ...] = ()


@dataclass(frozen=True)
class Report:
    """What came of a comparison."""

    columns: tuple[ColumnReport, ...] = field(default=())

    @property
    def checked(self) -> int:
        """Cells compared."""
        return sum(column.checked for column in self.columns)

    @property
    def mismatched(self) -> int:
        """Cells that differ."""
        return sum(column.mismatched for column in self.columns)

    @property
    def worst(self) -> tuple[Mismatch, ...]:
        """Examples of cells that differ, those of each column next to each other."""
        return tuple(mismatch for column in self.columns for mismatch in column.worst)

    def __add__(self, other: "Report") -> "Report":
        """Both together; a column that is in both is counted once, with the cells of both."""
        merged = {column.column: column for column in self.columns}
        for column in other.columns:
            old = merged.get(column.column, ColumnReport(column.column, 0, 0))
            merged[column.column] = ColumnReport(
                column.column,
                old.checked + column.checked,
                old.mismatched + column.mismatched,
                (*old.worst, *column.worst)[:WORST],
            )
        return Report(tuple(merged.values()))

    def __str__(self) -> str:
        lines = [f"{self.checked:,} cells checked, {self.mismatched:,} mismatched"]
        lines += [f"  {mismatch}" for mismatch in self.worst]
        return "\n".join(lines)


def compare(
    group: str,
    entities: Sequence[str],
    expected: Mapping[str, Any],
    actual: Mapping[str, Any],
    columns: Iterable[str] | None = None,
) -> Report:
    """Compare columns row by row.

    Parameters
    ----------
    group
        Goes before the columns' names in the report.
    entities
        ``n`` names of the rows, for the report.
    expected, actual
        Columns of ``n`` rows by name. What only ``actual`` has is not compared.
    columns
        Which to compare; default all of ``expected``.

    Raises
    ------
    ValueError
        When ``actual`` lacks a column or has another number of rows.
    """
    reports = []
    for name in expected if columns is None else columns:
        if name not in actual:
            raise ValueError(f"{group}: column {name!r} was not read; there are {sorted(actual)}")
        if not len(expected[name]) == len(actual[name]) == len(entities):
            raise ValueError(
                f"{group}: column {name!r} has {len(actual[name])} rows, expected {len(expected[name])}"
                f" for {len(entities)} entities"
            )
        reports.append(_compare_column(f"{group}.{name}", entities, expected[name], actual[name]))
    return Report(tuple(reports))


def _compare_column(name: str, entities: Sequence[str], expected: Any, actual: Any) -> ColumnReport:
    if isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
        wanted, found = expected.astype(np.float64), np.asarray(actual, dtype=np.float64)
        distance = np.abs(wanted - found)
        scale = np.maximum(np.abs(wanted), np.abs(found))
        differs = ~((distance <= RELATIVE * scale) | (distance <= ABSOLUTE))  # NaN differs from everything
        badness = np.where(np.isnan(distance), np.inf, distance / np.maximum(scale, ABSOLUTE))
    elif isinstance(expected, np.ndarray) and expected.dtype.kind in "iu":
        wanted, found = expected, np.asarray(actual)
        if found.dtype.kind not in "iu":
            raise ValueError(f"{name} must be integers, found {found.dtype}")
        differs = wanted != found
        badness = np.abs(wanted.astype(np.float64) - found.astype(np.float64))
    else:
        wanted, found = np.empty(len(entities), dtype=object), np.empty(len(entities), dtype=object)
        wanted[:], found[:] = list(expected), list(actual)
        differs = np.array([a != b for a, b in zip(wanted, found, strict=True)], dtype=bool)
        badness = differs.astype(np.float64)
    rows = np.flatnonzero(differs)
    rows = rows[np.argsort(-badness[rows], kind="stable")]
    worst = tuple(Mismatch(entities[row], name, wanted[row], found[row]) for row in rows[:WORST].tolist())
    return ColumnReport(name, len(entities), len(rows), worst)


def _short(value: Any) -> str:
    return f"{len(value)} bytes {value[:24].hex()}…" if isinstance(value, bytes) else repr(value)
