"""The two-tower: customers and items in one space, trained on in-batch negatives corrected for popularity (logQ)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faiss
import merlin.models.tf as mm
import numpy as np
import tensorflow as tf
from merlin.models.tf.outputs.base import DotProduct
from merlin.models.tf.transforms.bias import PopularityLogitsCorrection
from merlin.schema import Schema, Tags
from numpy.typing import NDArray

from feature_repo.encoder import EncoderSpec
from trainer.batches import batch_count, fitting_size, tower_batches
from trainer.examples import Tables
from trainer.learning_rate import CosineRate, Progress
from trainer.model_schema import Capacities, Features, schema
from trainer.recipe import Recipe
from trainer.windows import Int64, Window
from trainer.workflow import Encoded, Workflow

Floats = NDArray[np.float32]

_IDENTITIES = ("customer_id", "item_id")
_ROWS_AT_ONCE = 32_768


class TwoTower:
    """Query tower over the customer's columns, item tower over the item's; a dot product is the score."""

    def __init__(self, spec: EncoderSpec, rows: Capacities, recipe: Recipe) -> None:
        self.recipe = recipe
        self._item_codes = rows["item_id"]
        customer, item = schema(spec, rows, ["customer"]), schema(spec, rows, ["item"])
        self.query_features = Features(spec, ["customer"], customer.column_names)
        self.item_features = Features(spec, ["item"], item.column_names)
        identity = item.select_by_tag(Tags.ITEM_ID)
        self._probabilities = PopularityLogitsCorrection(
            np.ones(rows["item_id"], np.float32),  # frequencies: equal shares need not add up to 1 in float32
            reg_factor=recipe.tower_temperature,  # the output divides by the temperature afterwards
            schema=identity,
        )
        output = mm.ContrastiveOutput(
            to_call=DotProduct(),
            negative_samplers="in-batch",
            schema=identity,
            store_negative_ids=True,
            logits_temperature=recipe.tower_temperature,
            post=self._probabilities,
        )
        self.model = mm.TwoTowerModelV2(
            _tower(customer, recipe), _tower(item, recipe), outputs=output, schema=customer + item
        )
        self.optimizer = mm.LazyAdam(recipe.tower_rate)
        self.model.compile(optimizer=self.optimizer, metrics=[], run_eagerly=False)
        self._build()

    def _build(self) -> None:
        """Create all variables, those of the optimizer too, so that a checkpoint can be read into them."""
        columns = self.query_features(*_zeros(self.query_features)) | self.item_features(*_zeros(self.item_features))
        self.model(columns, training=True)
        self.optimizer._create_all_weights(self.model.trainable_variables)
        self.query_function = _traced(self.model.query_encoder, self.query_features)
        self._item = _traced(self.model.candidate_encoder, self.item_features)

    def fit(
        self, tables: Tables, customer: Int64, item: Int64, *, epochs: int, rate: float, progress: Progress
    ) -> float:
        """Learn from positive pairs, given as rows of the tables; return the last epoch's loss."""
        self._probabilities.candidate_probs.assign(self._chances(tables.items.codes[:, 0], item))
        size = fitting_size(len(customer), self.recipe.tower_batch)
        data = tower_batches(tables, customer, item, self.query_features, self.item_features, size, self.recipe.seed)
        steps = epochs * batch_count(len(customer), size)
        schedule = CosineRate(rate, steps, "two-tower", progress)
        history = self.model.fit(data, epochs=epochs, verbose=0, callbacks=[schedule], train_metrics_steps=0)
        return float(history.history["loss"][-1])

    def _chances(self, codes: NDArray[np.int32], item: Int64) -> Floats:
        """float32[codes]: how likely one item of a code is to be in a batch.

        Items too rare for a code of their own share one; each of them is as rare as their mean, not as frequent as
        all of them together, or else every one of them would learn to score like a bestseller.
        """
        drawn = np.bincount(codes[item], minlength=self._item_codes).astype(np.float64)
        sharing = np.maximum(np.bincount(codes, minlength=self._item_codes), 1)
        chances: Floats = ((drawn + 0.1) / sharing / (drawn.sum() + 1)).astype(np.float32)
        return chances

    def customers(self, encoded: Encoded) -> Floats:
        """float32[n, d] of customers' columns."""
        return _in_parts(self.query_function, encoded)

    def items(self, encoded: Encoded) -> Floats:
        """float32[n, d] of items' columns."""
        return _in_parts(self._item, encoded)


class WindowRetriever:
    """The trained two-tower as a source of candidates at past splits."""

    def __init__(self, tower: TwoTower, workflow: Workflow) -> None:
        self._tower, self._workflow = tower, workflow

    def nearest(self, window: Window, customers: Int64, k: int) -> Int64:
        """int64[n, k]: each customer's k nearest catalogue rows at the split, by exact search."""
        items = self._tower.items(self._workflow.transform(window.items, "item"))
        own = {name: values[customers] for name, values in window.customers.items()}
        queries = self._tower.customers(self._workflow.transform(own, "customer"))
        index = faiss.IndexFlatIP(items.shape[1])
        index.add(items)
        found: Int64 = index.search(queries, k)[1]
        return found


def _tower(columns: Schema, recipe: Recipe) -> mm.Encoder:
    categorical = columns.select_by_tag(Tags.CATEGORICAL)
    dims = {
        name: recipe.tower_identity if name in _IDENTITIES else recipe.tower_attribute
        for name in categorical.column_names
    }
    inputs = mm.InputBlockV2(columns, categorical=mm.Embeddings(categorical, dim=dims))
    return mm.Encoder(
        inputs,
        mm.MLPBlock([recipe.tower_hidden]),
        mm.MLPBlock([recipe.tower_dimension], activation=None),
        post=mm.L2Norm() if recipe.tower_normalised else None,
    )


def _zeros(features: Features) -> tuple[Any, Any]:
    return tf.zeros((2, features.categorical_width), tf.int32), tf.zeros((2, features.continuous_width), tf.float32)


def _traced(encoder: Any, features: Features) -> Any:
    signature = (
        tf.TensorSpec((None, features.categorical_width), tf.int32, name="categorical"),
        tf.TensorSpec((None, features.continuous_width), tf.float32, name="continuous"),
    )

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def embed(categorical: Any, continuous: Any) -> Any:
        return encoder(features(categorical, continuous), training=False)

    return embed


def _in_parts(embed: Any, encoded: Encoded) -> Floats:
    parts: Sequence[Any] = [
        embed(encoded.codes[start : start + _ROWS_AT_ONCE], encoded.numbers[start : start + _ROWS_AT_ONCE]).numpy()
        for start in range(0, len(encoded.codes), _ROWS_AT_ONCE)
    ]
    return np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)
