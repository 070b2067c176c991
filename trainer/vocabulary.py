"""Vocabularies that the trainer owns: they only grow at their end, so a code means the same for ever.

NVTabular would reshuffle almost every id at a refit. It is given these files instead: Parquet whose index begins
at the first code (a RangeIndex, which it takes as the codes).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_repo.columns import Column
from feature_repo.encoder import FIRST_CODE

Counts = dict[str, dict[str, float]]
"""By vocabulary: how often each value was seen."""


class Vocabularies(NamedTuple):
    """By vocabulary its values in the order of their codes; `version` grows with every extension."""

    values: dict[str, tuple[str, ...]]
    version: int = 0

    def extended(self, counts: Counts, minimum: Mapping[str, float]) -> Vocabularies:
        """Append the values not known yet that were seen at least `minimum[vocabulary]` times (default: once).

        The more frequent come first, then alphabetically. What is known keeps its place whatever its count.
        """
        grown = dict(self.values)
        for name, seen in counts.items():
            known = set(grown.get(name, ()))
            least = minimum.get(name, 1.0)
            new = [v for v, count in seen.items() if v and v not in known and count >= least]
            new.sort(key=lambda value: (-seen[value], value))
            grown[name] = (*grown.get(name, ()), *new)
        return Vocabularies(grown, self.version + (grown != self.values))

    def without(self, name: str, gone: Collection[str]) -> tuple[Vocabularies, list[int]]:
        """Put something that is no id in the places of values of one vocabulary; return their codes, too.

        What is known keeps its place, so that codes mean the same; nothing leads to these codes any more.
        """
        values = self.values.get(name, ())
        places = [place for place, value in enumerate(values) if value in gone]
        if not places:
            return self, []
        kept = tuple(f"\x00{place}" if value in gone else value for place, value in enumerate(values))
        return Vocabularies({**self.values, name: kept}, self.version + 1), [FIRST_CODE + place for place in places]

    def write(self, directory: Path, columns: Iterable[Column]) -> dict[str, Path]:
        """Write a Parquet file for each categorical column; return column -> path.

        Categorify looks for a column of the name of the column it encodes, so columns that share a vocabulary get
        a file each. The directory must be a new one: NVTabular caches files by path.
        """
        directory.mkdir(parents=True)
        paths = {}
        for column in columns:
            if column.kind == "categorical":
                path = directory / f"{column.name}.parquet"
                values = list(self.values[column.vocabulary])
                index = pd.RangeIndex(FIRST_CODE, FIRST_CODE + len(values))
                pd.DataFrame({column.name: pd.Series(values, index=index, dtype=object)}).to_parquet(path)
                paths[column.name] = path
        return paths


def count(columns: Iterable[Column], values: Mapping[str, NDArray[Any]], weights: NDArray[Any] | None) -> Counts:
    """Count the values of the categorical columns, rows weighted by `weights`: float64[n] (None: 1 each)."""
    counts: Counts = {}
    for column in columns:
        if column.kind == "categorical":
            found, at = np.unique(np.asarray(values[column.name], dtype=str), return_inverse=True)
            totals = np.bincount(at, weights, minlength=len(found))
            into = counts.setdefault(column.vocabulary, {})
            for value, total in zip(found.tolist(), totals.tolist(), strict=True):
                into[value] = into.get(value, 0.0) + total
    return counts


def added(*parts: Counts) -> Counts:
    """The sum of several counts."""
    out: Counts = {}
    for part in parts:
        for name, seen in part.items():
            into = out.setdefault(name, {})
            for value, total in seen.items():
                into[value] = into.get(value, 0.0) + total
    return out
