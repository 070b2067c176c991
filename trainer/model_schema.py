"""Merlin's view of the columns: tags, and how many rows each embedding table has."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from merlin.schema import ColumnSchema, Schema, Tags

from feature_repo.encoder import EncoderSpec

LABEL = ColumnSchema("label", dtype=np.float32, tags=[Tags.TARGET, Tags.BINARY_CLASSIFICATION])

_GROUP_TAGS = {"customer": [Tags.USER], "item": [Tags.ITEM], "pair": [], "request": [Tags.CONTEXT]}
_IDENTITY_TAGS = {"customer_id": Tags.USER_ID, "item_id": Tags.ITEM_ID}

Capacities = dict[str, int]
"""Rows of the embedding tables by vocabulary."""


def capacities(spec: EncoderSpec, before: Capacities | None = None) -> Capacities:
    """Rows for each vocabulary's table: what it had before where that still holds all codes, else with room to grow."""
    before = before or {}
    out = {}
    for name in spec.vocabularies:
        needed = spec.cardinality(name)
        out[name] = before[name] if needed <= before.get(name, 0) else -(-(needed + needed // 8 + 16) // 8) * 8
    return out


def schema(spec: EncoderSpec, rows: Capacities, groups: Iterable[str], leave_out: Iterable[str] = ()) -> Schema:
    """The schema of the columns of some groups, in the order of the encoder."""
    groups, leave_out = set(groups), set(leave_out)
    columns = [
        ColumnSchema(
            c.name,
            dtype=np.int32,
            tags=[
                Tags.CATEGORICAL,
                *_GROUP_TAGS[c.group],
                *([_IDENTITY_TAGS[c.name]] if c.name in _IDENTITY_TAGS else []),
            ],
            properties={"domain": {"min": 0, "max": rows[c.vocabulary] - 1, "name": c.vocabulary}},
        )
        for c in spec.categorical
        if c.group in groups and c.name not in leave_out
    ]
    columns += [
        ColumnSchema(c.name, dtype=np.float32, tags=[Tags.CONTINUOUS, *_GROUP_TAGS[c.group]])
        for c in spec.continuous
        if c.group in groups and c.name not in leave_out
    ]
    return Schema(columns)


class Features:
    """Cuts the two input matrices of some groups into the columns that a Merlin model takes."""

    def __init__(self, spec: EncoderSpec, groups: Iterable[str], wanted: Iterable[str]) -> None:
        groups, wanted = set(groups), set(wanted)
        categorical = [c.name for c in spec.categorical if c.group in groups]
        continuous = [c.name for c in spec.continuous if c.group in groups]
        self.categorical_width, self.continuous_width = len(categorical), len(continuous)
        self._categorical = [(n, i) for i, n in enumerate(categorical) if n in wanted]
        self._continuous = [(n, i) for i, n in enumerate(continuous) if n in wanted]

    def __call__(self, categorical, continuous):  # type: ignore[no-untyped-def]  # tensors
        """int32[n, C] and float32[n, F] -> dict of [n, 1]."""
        columns = {name: categorical[:, i : i + 1] for name, i in self._categorical}
        return columns | {name: continuous[:, i : i + 1] for name, i in self._continuous}
