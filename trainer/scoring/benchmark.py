"""Protocol B: the thesis's table 7.1 with its spread, as numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.metrics import auc
from trainer.scoring.dataset import Dataset, Parts, Rows
from trainer.scoring.networks import ARCHITECTURES, Network
from trainer.scoring.plan import Effort
from trainer.scoring.trees import gradient_boosting, random_forest

MODELS = ("Random Forest", "Gradient Boosting", *ARCHITECTURES)
THRESHOLD = 0.5

Progress = Callable[[str], None]
"""Told what has been done, `MODELS` times seeds times."""


class Model(Protocol):
    """What is compared."""

    def fit(self, parts: Parts) -> None:
        """Learn."""

    def predict(self, rows: Rows) -> NDArray[np.float32]:
        """float32[m]: the probability of each row."""

    def importances(self) -> list[float] | None:
        """Of each column, adding up to 1; None where the model tells none."""


class Figures(NamedTuple):
    """Of one model with one seed; seconds of the whole training and of a thousand rows scored."""

    auc: float
    precision: float
    recall: float
    training_seconds: float
    scoring_seconds_per_1000: float


def benchmark(data: Dataset, effort: Effort, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Train every model with every seed and return the table.

    By model ``auc``, ``precision``, ``recall`` (at 0.5), ``training_seconds`` and ``scoring_seconds_per_1000``, each
    with ``mean``, ``deviation`` (of the sample; 0 with one seed) and the seeds' ``values``; the forest's importances
    by column, largest first.
    """
    found: dict[str, list[Figures]] = {name: [] for name in MODELS}
    importances: list[list[float]] = []
    sizes: dict[str, int] = {}
    for seed in effort.seeds:
        parts = data.draw(seed)
        sizes = {name: len(rows.label) for name, rows in parts._asdict().items()}
        for name in MODELS:
            model = _made(name, data, effort, seed)
            found[name].append(_measured(model, parts))
            if (shares := model.importances()) is not None and name == "Random Forest":
                importances.append(shares)
            progress(f"{name}, seed {seed}")
    means = np.mean(importances, axis=0)
    shares_by_column = zip((column.name for column in data.chosen), means.tolist(), strict=True)
    return {
        "parting": data.plan.parting,
        "columns": len(data.chosen),
        "groups": list(data.plan.groups),
        "split": str(np.datetime64(data.looks[-1].span.split_at, "us")) + "Z",
        "days": data.plan.days,
        "seeds": list(effort.seeds),
        "rows": sizes,
        "models": {name: _summary(rows) for name, rows in found.items()},
        "importances": dict(sorted(shares_by_column, key=lambda pair: -pair[1])),
    }


def judged(label: NDArray[np.float32], score: NDArray[np.float32]) -> tuple[float, float, float]:
    """AUC, precision and recall at 0.5; NaN where there is nothing to divide by."""
    bought, taken = label > 0, score >= THRESHOLD
    right = float((bought & taken).sum())
    precision = right / taken.sum() if taken.any() else float("nan")
    recall = right / bought.sum() if bought.any() else float("nan")
    return auc(label, score), float(precision), float(recall)


def _made(name: str, data: Dataset, effort: Effort, seed: int) -> Model:
    if name == "Random Forest":
        return random_forest(effort, seed)
    if name == "Gradient Boosting":
        return gradient_boosting(effort, seed)
    return Network(name, data, effort, seed)


def _measured(model: Model, parts: Parts) -> Figures:
    start = time.perf_counter()
    model.fit(parts)
    trained = time.perf_counter()
    model.predict(parts.test)  # the first call also traces a network's graph
    asked = time.perf_counter()
    score = model.predict(parts.test)
    seconds = time.perf_counter() - asked
    return Figures(*judged(parts.test.label, score), trained - start, seconds * 1000 / len(score))


def _summary(rows: list[Figures]) -> dict[str, Any]:
    out = {}
    for name in Figures._fields:
        values = [getattr(row, name) for row in rows]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        out[name] = {"mean": float(np.mean(values)), "deviation": deviation, "values": values}
    return out
