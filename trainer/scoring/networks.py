"""The networks of the thesis's table 7.1 and a factorization machine, by Merlin Models, all of about one size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import merlin.models.tf as mm
import numpy as np
import tensorflow as tf
from merlin.models.tf.blocks.interaction import FMBlock
from merlin.schema import ColumnSchema, Schema, Tags
from numpy.typing import NDArray

from feature_repo.columns import GROUPS
from trainer.batches import fitting_size
from trainer.metrics import log_loss
from trainer.model_schema import LABEL, capacities, schema
from trainer.ranker import deep_cross, dlrm, multilayer
from trainer.recipe import Recipe
from trainer.scoring.dataset import IDENTITIES, Dataset, Parts, Rows
from trainer.scoring.plan import Effort

_PATIENCE = 2
_ROWS_AT_ONCE = 16_384
_CROSS_BINS, _MIX = 20_000, 7_919
CROSS = "cross_"


def wide_and_deep(columns: Schema, recipe: Recipe) -> mm.Model:
    """Wide & Deep: a linear model of the categories and of the customer's taste crossed with the item, and an MLP."""
    crossed = columns.select_by_name([name for name in columns.column_names if name.startswith(CROSS)])
    plain = columns.excluding_by_name(crossed.column_names)
    return mm.WideAndDeepModel(
        columns,
        deep_block=mm.MLPBlock([*recipe.ranker_bottom, *recipe.ranker_top]),
        deep_input_block=_inputs(plain, recipe.ranker_embedding),
        wide_input_block=_inputs(columns.select_by_tag(Tags.CATEGORICAL), 1),
        wide_schema=columns.select_by_tag(Tags.CATEGORICAL),
        prediction_tasks=mm.BinaryOutput(LABEL),
    )


def factorization_machine(columns: Schema, recipe: Recipe) -> mm.Model:
    """FM: every column's own weight, and dot products of the categories' factors (Rendle 2010)."""
    categorical = columns.select_by_tag(Tags.CATEGORICAL)
    factors = mm.InputBlockV2(
        categorical, categorical=mm.Embeddings(categorical, dim=recipe.ranker_embedding), aggregation=None
    )
    block = FMBlock(columns, fm_input_block=factors, wide_input_block=_inputs(columns, 1))
    return mm.Model(block, mm.BinaryOutput(LABEL))


ARCHITECTURES: dict[str, Callable[[Schema, Recipe], mm.Model]] = {
    "DLRM": dlrm,
    "Wide&Deep": wide_and_deep,
    "DCN": deep_cross,
    "MLP": multilayer,
    "FM": factorization_machine,
}


class Network:
    """One network; it keeps the weights of the epoch after which it foretold the watched rows best."""

    def __init__(self, architecture: str, data: Dataset, effort: Effort, seed: int) -> None:
        tf.keras.utils.set_random_seed(seed)
        self._effort, self._seed, recipe = effort, seed, Recipe()
        chosen = [column.name for column in data.chosen]
        whole = schema(data.spec, capacities(data.spec), GROUPS, IDENTITIES)
        columns = whole.select_by_name([name for name in whole.column_names if name in set(chosen)])
        self._categorical = [column.name for column in data.chosen if column.kind == "categorical"]
        self._crosses = _crosses(self._categorical) if architecture == "Wide&Deep" else {}
        columns += Schema([_cross_column(name) for name in self._crosses])
        self._continuous = [column.name for column in data.chosen if column.kind == "continuous"]
        self.model = ARCHITECTURES[architecture](columns, recipe)
        self.model.compile(optimizer=tf.keras.optimizers.legacy.Adam(recipe.ranker_rate), metrics=[])
        self._score = tf.function(
            lambda codes, numbers: self.model(self._columns(codes, numbers), training=False),
            input_signature=(
                tf.TensorSpec((None, len(self._categorical)), tf.int32),
                tf.TensorSpec((None, len(self._continuous)), tf.float32),
            ),
        )

    def fit(self, parts: Parts) -> None:
        """Learn until the watched rows gain no more."""
        batches = self._batches(parts.train)
        best, best_loss, waited = None, np.inf, 0
        for _ in range(self._effort.epochs):
            self.model.fit(batches, epochs=1, verbose=0, train_metrics_steps=0)
            loss = log_loss(parts.watch.label, self.predict(parts.watch)) if len(parts.watch.label) else 0.0
            waited = 0 if loss < best_loss else waited + 1
            if waited == 0:
                best, best_loss = self.model.get_weights(), loss
            if waited == _PATIENCE:
                break
        if best is not None:
            self.model.set_weights(best)

    def predict(self, rows: Rows) -> NDArray[np.float32]:
        """float32[m]: the probability of each row."""
        parts = []
        for start in range(0, len(rows.label), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            out = self._score(rows.codes[part], rows.numbers[part])
            probability = next(iter(out.values())) if isinstance(out, dict) else out
            parts.append(tf.reshape(probability, (-1,)).numpy())
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def importances(self) -> list[float] | None:
        """None: a network tells none."""
        return None

    def _batches(self, rows: Rows) -> tf.data.Dataset:
        """The rows in another order every epoch, gathered a batch at a time."""
        n, size = len(rows.label), fitting_size(len(rows.label), self._effort.batch)
        codes, numbers, label = tf.constant(rows.codes), tf.constant(rows.numbers), tf.constant(rows.label[:, None])

        def gather(chosen: Any) -> Any:
            return self._columns(tf.gather(codes, chosen), tf.gather(numbers, chosen)), tf.gather(label, chosen)

        order = tf.data.Dataset.range(n).shuffle(n, seed=self._seed).batch(size, drop_remainder=True)
        return order.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _columns(self, codes: Any, numbers: Any) -> dict[str, Any]:
        columns = {name: codes[:, i : i + 1] for i, name in enumerate(self._categorical)}
        columns |= {name: numbers[:, i : i + 1] for i, name in enumerate(self._continuous)}
        crossed = {name: (columns[a] * _MIX + columns[b]) % _CROSS_BINS for name, (a, b) in self._crosses.items()}
        return columns | crossed


def _inputs(columns: Schema, dimension: int) -> Any:
    embeddings = mm.Embeddings(columns.select_by_tag(Tags.CATEGORICAL), dim=dimension)
    return mm.InputBlockV2(columns, categorical=embeddings)


def _crosses(categorical: list[str]) -> dict[str, tuple[str, str]]:
    """By the cross's name what is crossed: what the customer buys most with what the item is."""
    tastes = {name: f"most_purchased_{name}" for name in categorical}
    return {f"{CROSS}{name}": (taste, name) for name, taste in tastes.items() if taste in categorical}


def _cross_column(name: str) -> ColumnSchema:
    domain = {"min": 0, "max": _CROSS_BINS - 1, "name": name}
    return ColumnSchema(name, dtype=np.int32, tags=[Tags.CATEGORICAL], properties={"domain": domain})
