"""What moved an item's score: each input in turn is put to its usual value, and the ranker is asked again.

One input at a time (occlusion: Zeiler and Fergus, 2014); what only two inputs do together counts for both or for none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.encoder import (
    FIRST_CODE,
    GROUPS,
    OUT_OF_VOCABULARY,
    CategoricalInput,
    ContinuousInput,
    Encoder,
    EncoderSpec,
)

Rank = Callable[[NDArray[np.int32], NDArray[np.float32]], NDArray[np.float32]]
"""Scores float32[n] of int32[n, C] and float32[n, F]."""

MEAN = 0.0
"""Of every number, once it is normalised."""


class Effect(NamedTuple):
    """An input: group and name, its value before encoding (None: missing, or unknown), what it added to the score."""

    group: str
    name: str
    value: float | str | None
    contribution: float


class _Change(NamedTuple):
    """An input that is not at its usual value for some items: its column and those items, int64[k]."""

    input: CategoricalInput | ContinuousInput
    column: int
    items: NDArray[np.int64]


def effects(
    encoder: Encoder, categorical: NDArray[np.int32], continuous: NDArray[np.float32], rank: Rank, most: int
) -> list[list[Effect]]:
    """For each item the inputs that moved its score, the strongest first, up to `most`.

    A number's usual value is its mean in training; a category's is one that the model has never seen.

    categorical: int32[n, C], continuous: float32[n, F], as they were scored. `rank` is asked once, for each item and
    each of its inputs that is not at its usual value.
    """
    n = len(categorical)
    changes = _changes(encoder.spec, categorical, continuous)
    rows = np.concatenate([np.arange(n), *(change.items for change in changes)])
    codes, numbers = categorical[rows], continuous[rows]
    start = n
    for change in changes:
        end = start + len(change.items)
        if isinstance(change.input, CategoricalInput):
            codes[start:end, change.column] = OUT_OF_VOCABULARY
        else:
            numbers[start:end, change.column] = MEAN
        start = end
    scores = rank(codes, numbers)
    added = iter((scores[rows[n:]] - scores[n:]).tolist())
    found: list[list[Effect]] = [[] for _ in range(n)]
    for change in changes:
        matrix = categorical if isinstance(change.input, CategoricalInput) else continuous
        for item in change.items.tolist():
            value = _decoded(encoder.spec, change.input, matrix[item, change.column].item())
            found[item].append(Effect(change.input.group, change.input.name, value, next(added)))
    return [sorted(each, key=lambda effect: -abs(effect.contribution))[:most] for each in found]


def _changes(spec: EncoderSpec, categorical: NDArray[np.int32], continuous: NDArray[np.float32]) -> list[_Change]:
    """Every input with the items that it says something unusual of; columns are side by side, group after group."""
    lookups = [each for group in GROUPS for each in spec.categorical if each.group == group]
    numbers = [each for group in GROUPS for each in spec.continuous if each.group == group]
    return [
        *(_Change(each, c, np.flatnonzero(categorical[:, c] != OUT_OF_VOCABULARY)) for c, each in enumerate(lookups)),
        *(_Change(each, c, np.flatnonzero(continuous[:, c] != MEAN)) for c, each in enumerate(numbers)),
    ]


def _decoded(spec: EncoderSpec, column: CategoricalInput | ContinuousInput, encoded: float) -> float | str | None:
    """The value that was encoded, as far as the specification tells."""
    if isinstance(column, CategoricalInput):
        values, place = spec.vocabularies[column.vocabulary], int(encoded) - FIRST_CODE
        return values[place] if 0 <= place < len(values) else None
    value = encoded * column.deviation + column.mean
    return float(np.expm1(value)) if column.log else value
