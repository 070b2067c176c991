"""The NVTabular workflow: Categorify by owned vocabularies, FillMissing, LogOp, Normalize by frozen moments.

The moments are fitted once, by the first full training; every later run applies them as they are, so that a number
means the same to the model as when it learned. One workflow for each column group, because the groups' rows differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import nvtabular as nvt
import pandas as pd
from dask.delayed import Delayed
from numpy.typing import NDArray

from feature_repo.columns import GROUPS, Column, Group
from feature_repo.encoder import CategoricalInput, ContinuousInput, EncoderSpec
from trainer.vocabulary import Vocabularies

FILL = 0.0
CLIP = 8.0
"""Deviations from the mean beyond which a number counts no more."""

_CONSTANT = 1e-9

Columns = Mapping[str, NDArray[Any]]


class Encoded(NamedTuple):
    """Rows as the models take them: codes int32[n, C] and numbers float32[n, F]."""

    codes: NDArray[np.int32]
    numbers: NDArray[np.float32]

    def take(self, rows: NDArray[np.int64]) -> Encoded:
        """The given rows."""
        return Encoded(self.codes[rows], self.numbers[rows])


def stacked(parts: Sequence[Encoded]) -> Encoded:
    """The rows of all parts, one below the other."""
    return Encoded(np.concatenate([p.codes for p in parts]), np.concatenate([p.numbers for p in parts]))


class Moments(NamedTuple):
    """Mean and deviation of each continuous column, after its logarithm; deviation 0: it never varied."""

    mean: dict[str, float]
    deviation: dict[str, float]


class FrozenNormalize(nvt.ops.Normalize):  # type: ignore[misc]
    """Normalize with moments that are given and stay."""

    def __init__(self, moments: Moments) -> None:
        super().__init__(out_dtype=np.float32)
        self.means = dict(moments.mean)
        # Normalize passes on what a column without deviation holds; divided by infinity it is 0, as it was in training.
        self.stds = {name: deviation or math.inf for name, deviation in moments.deviation.items()}

    def fit(self, col_selector: Any, ddf: Any) -> Delayed:
        """Nothing to fit."""
        return Delayed("no-op", {"no-op": {}})  # type: ignore[no-untyped-call]

    def fit_finalize(self, dask_stats: Any) -> None:
        """Nothing was fitted."""

    def clear(self) -> None:
        """The moments are not statistics of the data at hand."""


def fit_moments(columns: Sequence[Column], values: Columns) -> Moments:
    """Fit the moments of the continuous columns among `columns` on rows like those that the models will see."""
    names = [c.name for c in columns if c.kind == "continuous"]
    if not names:
        return Moments({}, {})
    normalize = nvt.ops.Normalize(out_dtype=np.float32)
    frame = pd.DataFrame({name: np.asarray(values[name], np.float64) for name in names})
    workflow = nvt.Workflow(_numbers(columns, normalize))
    workflow.fit(nvt.Dataset(frame))
    deviation = {name: value if value > _CONSTANT else 0.0 for name, value in normalize.stds.items()}
    return Moments(dict(normalize.means), deviation)


class GroupWorkflow:
    """The fitted workflow of one column group.

    Parameters
    ----------
    columns
        Of one group, in the order of the model's inputs.
    paths
        The vocabulary file of each categorical column.
    """

    def __init__(self, columns: Sequence[Column], paths: Mapping[str, Path], moments: Moments) -> None:
        self._categorical = [c.name for c in columns if c.kind == "categorical"]
        self._continuous = [c.name for c in columns if c.kind == "continuous"]
        # A value that no vocabulary holds: a column without any value would stop Categorify.
        self._stranger = pd.DataFrame(
            {name: ["\x00"] for name in self._categorical} | {name: [0.0] for name in self._continuous}
        )
        graph = None
        if self._categorical:
            vocabularies = {name: str(paths[name]) for name in self._categorical}
            graph = self._categorical >> nvt.ops.Categorify(vocabs=vocabularies, dtype=np.int32)
        if self._continuous:
            numbers = _numbers(columns, FrozenNormalize(moments)) >> nvt.ops.Clip(-CLIP, CLIP)
            graph = numbers if graph is None else graph + numbers
        self._workflow = nvt.Workflow(graph)
        self._workflow.fit(nvt.Dataset(self._stranger))

    def transform(self, values: Columns) -> Encoded:
        """Encode columns of n values each."""
        names = [*self._categorical, *self._continuous]
        frame = pd.DataFrame({name: np.asarray(values[name]) for name in names})
        frame[self._categorical] = frame[self._categorical].replace("", None)
        frame = pd.concat([frame, self._stranger], ignore_index=True)
        out = self._workflow.transform(frame)[:-1]
        return Encoded(
            np.ascontiguousarray(out[self._categorical].to_numpy(np.int32)),
            np.ascontiguousarray(out[self._continuous].to_numpy(np.float32)),
        )


class Workflow:
    """The workflows of all groups."""

    def __init__(
        self, columns: Sequence[Column], vocabularies: Vocabularies, moments: Moments, directory: Path
    ) -> None:
        self.spec = encoder_spec(columns, vocabularies, moments)
        paths = vocabularies.write(directory, columns)
        own = {group: [c for c in columns if c.group == group] for group in GROUPS}
        self._groups = {group: GroupWorkflow(some, paths, moments) for group, some in own.items() if some}

    def transform(self, values: Columns, group: Group) -> Encoded:
        """Encode the columns of one group; one that the models do not take gives matrices without columns."""
        if group in self._groups:
            return self._groups[group].transform(values)
        n = len(next(iter(values.values())))
        return Encoded(np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32))


def encoder_spec(columns: Sequence[Column], vocabularies: Vocabularies, moments: Moments) -> EncoderSpec:
    """What the workflow does, as data for the serving side."""
    categorical = [c for c in columns if c.kind == "categorical"]
    return EncoderSpec(
        categorical=tuple(CategoricalInput(c.name, c.group, c.vocabulary) for c in categorical),
        continuous=tuple(
            ContinuousInput(c.name, c.group, c.log, moments.mean[c.name], moments.deviation[c.name], FILL)
            for c in columns
            if c.kind == "continuous"
        ),
        vocabularies={name: vocabularies.values[name] for name in dict.fromkeys(c.vocabulary for c in categorical)},
        clip=CLIP,
    )


def _numbers(columns: Sequence[Column], normalize: nvt.ops.Normalize) -> Any:
    logged = [c.name for c in columns if c.kind == "continuous" and c.log]
    plain = [c.name for c in columns if c.kind == "continuous" and not c.log]
    graph = None
    if logged:
        graph = logged >> nvt.ops.FillMissing(FILL) >> nvt.ops.LogOp()
    if plain:
        filled = plain >> nvt.ops.FillMissing(FILL)
        graph = filled if graph is None else graph + filled
    return graph >> normalize
