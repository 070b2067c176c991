"""The ranker: DLRM over the columns of customer, item, pair and request, and the models it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import merlin.models.tf as mm
import numpy as np
import tensorflow as tf
from merlin.schema import Schema, Tags
from numpy.typing import NDArray

from feature_repo.columns import GROUPS
from feature_repo.encoder import EncoderSpec
from trainer.batches import batch_count, fitting_size, ranker_batches
from trainer.examples import Examples, Tables
from trainer.learning_rate import CosineRate, Progress
from trainer.model_schema import LABEL, Capacities, Features, schema
from trainer.recipe import Recipe
from trainer.workflow import Encoded

_ROWS_AT_ONCE = 65_536

QUERY_GROUPS = ("customer", "request")
"""What all candidates of a query have in common."""


def dlrm(columns: Schema, recipe: Recipe) -> mm.Model:
    """DLRM: numbers through the bottom network, dot products of all embeddings with each other and with it."""
    return mm.DLRMModel(
        columns,
        embeddings=mm.Embeddings(columns.select_by_tag(Tags.CATEGORICAL), dim=recipe.ranker_embedding),
        bottom_block=mm.MLPBlock([*recipe.ranker_bottom, recipe.ranker_embedding]),
        top_block=mm.MLPBlock(list(recipe.ranker_top)),
        prediction_tasks=mm.BinaryOutput(LABEL),
    )


def deep_cross(columns: Schema, recipe: Recipe) -> mm.Model:
    """DCN: explicit crosses beside a deep network."""
    return mm.DCNModel(
        columns,
        depth=2,
        deep_block=mm.MLPBlock(list(recipe.ranker_top)),
        input_block=_inputs(columns, recipe),
        prediction_tasks=mm.BinaryOutput(LABEL),
    )


def multilayer(columns: Schema, recipe: Recipe) -> mm.Model:
    """MLP: everything side by side through dense layers."""
    return mm.Model(
        _inputs(columns, recipe), mm.MLPBlock([*recipe.ranker_bottom, *recipe.ranker_top]), mm.BinaryOutput(LABEL)
    )


ARCHITECTURES: dict[str, Callable[[Schema, Recipe], mm.Model]] = {
    "dlrm": dlrm,
    "dcn": deep_cross,
    "mlp": multilayer,
}


class Ranker:
    """A scorer of (customer, item) pairs with its optimizer.

    Attributes
    ----------
    of_the_query
        Places of the categorical columns that all candidates of a query have in common.
    """

    def __init__(self, spec: EncoderSpec, rows: Capacities, recipe: Recipe, architecture: str = "dlrm") -> None:
        self.recipe = recipe
        columns = schema(spec, rows, GROUPS, recipe.ranker_leaves_out)
        self.features = Features(spec, GROUPS, columns.column_names)
        self.of_the_query = [place for place, c in enumerate(spec.categorical) if c.group in QUERY_GROUPS]
        self.model = ARCHITECTURES[architecture](columns, recipe)
        self.optimizer = mm.LazyAdam(recipe.ranker_rate)
        self.model.compile(optimizer=self.optimizer, metrics=[], run_eagerly=False)
        self._build()

    def _build(self) -> None:
        """Create all variables, those of the optimizer too, so that a checkpoint can be read into them."""
        f = self.features
        self.model(f(tf.zeros((2, f.categorical_width), tf.int32), tf.zeros((2, f.continuous_width), tf.float32)))
        self.optimizer._create_all_weights(self.model.trainable_variables)
        signature = (
            tf.TensorSpec((None, f.categorical_width), tf.int32, name="categorical"),
            tf.TensorSpec((None, f.continuous_width), tf.float32, name="continuous"),
        )

        @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
        def score(categorical: Any, continuous: Any) -> Any:
            out = self.model(f(categorical, continuous), training=False)
            probability = next(iter(out.values())) if isinstance(out, dict) else out
            return tf.reshape(probability, (-1,))

        self.score = score

    def fit(self, tables: Tables, rows: Examples, *, epochs: int, rate: float, progress: Progress) -> float:
        """Learn; return the last epoch's loss."""
        size = fitting_size(len(rows.label), self.recipe.ranker_batch)
        data = ranker_batches(tables, rows, self.features, size, self.recipe.seed)
        schedule = CosineRate(rate, epochs * batch_count(len(rows.label), size), "ranker", progress)
        history = self.model.fit(data, epochs=epochs, verbose=0, callbacks=[schedule], train_metrics_steps=0)
        return float(history.history["loss"][-1])

    def predict(self, tables: Tables, rows: Examples) -> NDArray[np.float32]:
        """float32[m]: the probability of each example."""
        parts = []
        for start in range(0, len(rows.label), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            who, what = rows.customer[part], rows.item[part]
            pair = Encoded(rows.pair.codes[part], rows.pair.numbers[part])
            sides = tables.customers.take(who), tables.items.take(what), pair, tables.requests.take(who)
            codes, numbers = [side.codes for side in sides], [side.numbers for side in sides]
            parts.append(self.score(np.concatenate(codes, 1), np.concatenate(numbers, 1)).numpy())
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _inputs(columns: Schema, recipe: Recipe) -> Any:
    embeddings = mm.Embeddings(columns.select_by_tag(Tags.CATEGORICAL), dim=recipe.ranker_embedding)
    return mm.InputBlockV2(columns, categorical=embeddings)
