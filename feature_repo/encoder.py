"""From feature columns to the matrices a model takes: category codes and normalised numbers.

The specification is JSON in the bundle: vocabularies, logarithms, means and deviations, exactly as the
trainer's NVTabular workflow applies them (Categorify, FillMissing, LogOp, Normalize). Applying it here with
numpy costs microseconds where the workflow costs about 100 ms a call, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

SCHEMA = 1

# Codes as NVTabular's Categorify gives them with one out-of-vocabulary bucket.
PADDING = 0
NULL = 1
OUT_OF_VOCABULARY = 2
FIRST_CODE = 3

GROUPS = ("customer", "item", "pair", "request")


class CategoricalInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column of codes and the vocabulary it is looked up in."""

    name: str
    group: str
    vocabulary: str


class ContinuousInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column of numbers: `((log1p(x) if log else x) − mean) / deviation`; NaN is first replaced by `fill`.

    Deviation 0 stands for a column that never varied while the model learned: it is always 0, whatever comes, for the
    model has no idea what another value would mean.
    """

    name: str
    group: str
    log: bool = False
    mean: float = 0.0
    deviation: float = 1.0
    fill: float = 0.0


class EncoderSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All columns of a model in the order of its inputs, and the vocabularies by name.

    A value's code is `FIRST_CODE` plus its place in the vocabulary; vocabularies only ever grow at their end.
    Normalised numbers are held within ± `clip`, if it is given: what was rare while the model learned has a small
    deviation and would later drown everything else.
    """

    categorical: tuple[CategoricalInput, ...]
    continuous: tuple[ContinuousInput, ...]
    vocabularies: dict[str, tuple[str, ...]]
    clip: float | None = None
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """The specification as UTF-8 JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, raw: bytes) -> EncoderSpec:
        """Read what `to_json` wrote.

        Raises msgspec.ValidationError for anything else, ValueError for another schema.
        """
        spec = msgspec.json.decode(raw, type=cls)
        if spec.schema != SCHEMA:
            raise ValueError(f"encoder has schema {spec.schema}; this program reads schema {SCHEMA}")
        return spec

    def cardinality(self, vocabulary: str) -> int:
        """Number of codes of a vocabulary, the three reserved ones included."""
        return FIRST_CODE + len(self.vocabularies[vocabulary])


class Encoder:
    """Applies an EncoderSpec. Immutable after construction, so any number of threads may share one."""

    def __init__(self, spec: EncoderSpec) -> None:
        _check(spec)
        self.spec = spec
        codes = {
            name: {"": NULL} | {value: code for code, value in enumerate(values, FIRST_CODE)}
            for name, values in spec.vocabularies.items()
        }
        self._groups = {group: _Group(spec, group, codes) for group in GROUPS}

    @classmethod
    def read(cls, path: Path) -> Encoder:
        """The encoder of a specification file."""
        return cls(EncoderSpec.from_json(path.read_bytes()))

    def names(self, group: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the categorical and of the continuous columns of a group, in matrix order."""
        found = self._groups[group]
        return tuple(name for name, _ in found.lookups), found.continuous

    def encode(self, columns: Mapping[str, NDArray[Any]], group: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Encode the columns of one group, each an array of n values (str or numbers).

        Returns codes int32[n, C] and numbers float32[n, F]; columns the spec doesn't name are ignored. An
        unknown category becomes OUT_OF_VOCABULARY, an empty one NULL. Raises KeyError for a missing column
        and ValueError for an infinite number or columns of different lengths.
        """
        found = self._groups[group]
        n = found.length(columns)
        return found.codes(columns, n), found.numbers(columns, n)

    def encode_all(
        self, groups: Mapping[str, Mapping[str, NDArray[Any]]]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Encode all groups that have columns, each already expanded to the same n rows, side by side."""
        parts = [self.encode(groups[group], group) for group in GROUPS if any(self.names(group))]
        return (
            np.concatenate([codes for codes, _ in parts], axis=1),
            np.concatenate([numbers for _, numbers in parts], axis=1),
        )


class _Group:
    """The columns of one group, with everything that can be prepared before the first row."""

    def __init__(self, spec: EncoderSpec, group: str, codes: Mapping[str, dict[str, int]]) -> None:
        self.group = group
        self.lookups = [(c.name, codes[c.vocabulary]) for c in spec.categorical if c.group == group]
        continuous = [c for c in spec.continuous if c.group == group]
        self.continuous = tuple(c.name for c in continuous)
        self._names = (*(name for name, _ in self.lookups), *self.continuous)
        self._logs = np.flatnonzero([c.log for c in continuous])
        self._mean = _column([c.mean for c in continuous])
        self._scale = _column([1.0 / c.deviation if c.deviation else 0.0 for c in continuous])
        self._fill = _column([c.fill for c in continuous])
        self._clip = None if spec.clip is None else np.float32(spec.clip)

    def length(self, columns: Mapping[str, NDArray[Any]]) -> int:
        try:
            shapes = {columns[name].shape for name in self._names}
        except KeyError as missing:
            raise KeyError(f"the {self.group} columns lack {missing}, which the model takes") from None
        if len(shapes) > 1:
            raise ValueError(f"the {self.group} columns have different lengths: {sorted(shape[0] for shape in shapes)}")
        return shapes.pop()[0] if shapes else len(next(iter(columns.values()), ()))

    def codes(self, columns: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.int32]:
        if n == 1:  # a customer, a request: one array in place of one a column
            found = [codes.get(columns[name][0], OUT_OF_VOCABULARY) for name, codes in self.lookups]
            return np.array(found, np.int32).reshape(1, -1)
        matrix = np.empty((n, len(self.lookups)), np.int32)
        for place, (name, codes) in enumerate(self.lookups):
            values: Sequence[str] = columns[name].tolist()
            get = codes.get
            matrix[:, place] = np.fromiter([get(value, OUT_OF_VOCABULARY) for value in values], np.int32, n)
        return matrix

    def numbers(self, columns: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.float32]:
        if not self.continuous:
            return np.empty((n, 0), np.float32)
        # A column a row until all is done: numpy joins whole columns at once, and takes the logarithms side by side.
        matrix = np.concatenate([columns[name] for name in self.continuous], dtype=np.float32, casting="same_kind")
        matrix = matrix.reshape(len(self.continuous), n)
        if not np.isfinite(matrix).all():
            infinite = np.isinf(matrix).any(axis=1)
            if infinite.any():
                bad = ", ".join(self.continuous[place] for place in np.flatnonzero(infinite))
                raise ValueError(f"infinite value in {self.group} column {bad}")
            np.copyto(matrix, self._fill, where=np.isnan(matrix))
        if len(self._logs):
            matrix[self._logs] = np.log1p(matrix[self._logs])
        matrix -= self._mean
        matrix *= self._scale
        if self._clip is not None:
            np.minimum(matrix, self._clip, out=matrix)
            np.maximum(matrix, -self._clip, out=matrix)
        return np.ascontiguousarray(matrix.T)


def _column(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)[:, None]


def _check(spec: EncoderSpec) -> None:
    inputs: tuple[CategoricalInput | ContinuousInput, ...] = (*spec.categorical, *spec.continuous)
    for column in inputs:
        if column.group not in GROUPS:
            known = ", ".join(GROUPS)
            raise ValueError(f"column {column.name!r} has group {column.group!r}; groups are {known}")
    for lookup in spec.categorical:
        if lookup.vocabulary not in spec.vocabularies:
            raise ValueError(f"column {lookup.name!r} needs vocabulary {lookup.vocabulary!r}, not in the spec")
    for number in spec.continuous:
        if not number.deviation >= 0:
            raise ValueError(f"column {number.name!r} has deviation {number.deviation}; it must be >= 0")
    if spec.clip is not None and not spec.clip > 0:
        raise ValueError(f"clip is {spec.clip}; it must be > 0")
