"""New codes in embedding tables: their rows begin where "out of vocabulary" stands, not at random.

Tables have spare rows. When they are used up, a model with larger tables takes over every variable of the smaller
one, its optimizer's moments included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from merlin.models.tf.inputs.embedding import EmbeddingTable

from feature_repo.encoder import OUT_OF_VOCABULARY, EncoderSpec


class Trainable(Protocol):
    """A Keras model and its optimizer, both with all their variables."""

    model: Any
    optimizer: Any


def tables(trainable: Trainable) -> Iterator[tuple[str, Any]]:
    """The embedding tables: vocabulary and variable float32[rows, d]."""
    for layer in trainable.model._flatten_layers():
        if isinstance(layer, EmbeddingTable):
            domain = next(iter(layer.features.values())).int_domain
            yield domain.name, layer.table.embeddings


def welcome(trainable: Trainable, before: EncoderSpec, now: EncoderSpec) -> int:
    """Set the rows of the codes that `now` has beyond `before`; return how many rows that were."""
    total = 0
    for vocabulary, table in tables(trainable):
        old, new = before.cardinality(vocabulary), now.cardinality(vocabulary)
        if new > old:
            values = table.numpy()
            values[old:new] = values[OUT_OF_VOCABULARY]
            table.assign(values)
            total += new - old
    return total


def forget(trainable: Trainable, vocabulary: str, codes: Sequence[int]) -> None:
    """Set the rows of codes that stand for nobody any more to that of "out of vocabulary"."""
    for name, table in tables(trainable):
        if name == vocabulary and codes:
            values = table.numpy()
            values[list(codes)] = values[OUT_OF_VOCABULARY]
            table.assign(values)


def take_over(larger: Trainable, smaller: Trainable) -> None:
    """Copy every variable of `smaller` into `larger`, whose tables have as many rows or more.

    Rows beyond keep what they were initialised with. Raises ValueError where the models differ in more than that.
    """
    pairs = [
        (larger.model.variables, smaller.model.variables),
        (larger.optimizer.variables(), smaller.optimizer.variables()),
    ]
    for into, out in pairs:
        if len(into) != len(out):
            raise ValueError(f"models of {len(out)} and {len(into)} variables: one can't take over the other")
        for target, source in zip(into, out, strict=True):
            target.assign(_laid_over(target.numpy(), source.numpy(), source.name))


def _laid_over(target: Any, source: Any, name: str) -> Any:
    if np.shape(target) == np.shape(source):
        return source
    if np.shape(target)[1:] != np.shape(source)[1:] or len(target) < len(source):
        raise ValueError(f"variable {name}: {np.shape(source)} does not fit into {np.shape(target)}")
    target[: len(source)] = source
    return target
