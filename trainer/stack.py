"""The stack: boosted trees over the ranker's inputs and the DLRM's own score.

DLRM scores, the trees sharpen what it says: rhythm, counts and ranks are steps and crossings, which trees learn from
little. All of it is one ONNX graph, so that serving need not know.

What the trees learn from must not hold scores of rows that the DLRM was trained on: there it knows the answer, and the
trees come to believe it. So the customers are parted in two by their ids; each half is scored by a DLRM that was
trained on the other one, and the trees learn from both. The DLRM that is served is trained on all of them. An
incremental run keeps the trees: what the inputs and the score mean to them has not changed; the DLRM goes on learning.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import lightgbm
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from trainer.calibration import NEAREST, UNCALIBRATED, Calibration
from trainer.examples import Examples, Tables
from trainer.onnx_graph import Graph
from trainer.ranker import Ranker
from trainer.recipe import Recipe
from trainer.tree_ensemble import tree_ensemble

Floats = NDArray[np.float32]

DLRM = -1
"""Where the DLRM's score stands in what the trees see."""

TREE_OPERATORS = "ai.onnx.ml"
_VERSION = 3


class Trees:
    """A boosted ensemble over rows of numbers and the DLRM's score; answers with probabilities."""

    def __init__(self, booster: lightgbm.Booster) -> None:
        self._booster = booster

    @classmethod
    def learned(cls, rows: Floats, label: Floats, recipe: Recipe) -> Trees:
        """Learn from rows as `joined` makes them; label: float32[m]."""
        data = lightgbm.Dataset(rows, label, params={"verbose": -1, "max_bin": 127}, free_raw_data=True)
        settings = {
            "objective": "binary", "num_leaves": recipe.tree_leaves, "learning_rate": recipe.tree_rate,
            "min_data_in_leaf": recipe.tree_smallest, "feature_fraction": 0.7, "bagging_fraction": 0.8,
            "bagging_freq": 1, "lambda_l2": 1.0, "use_missing": False, "seed": recipe.seed, "deterministic": True,
            "num_threads": recipe.tree_threads,
            "force_row_wise": True, "verbose": -1,
        }  # fmt: skip
        return cls(lightgbm.train(settings, data, num_boost_round=recipe.trees))

    @classmethod
    def of(cls, text: str) -> Trees:
        """Read what `text` gave. Raises ValueError on anything else."""
        try:
            return cls(lightgbm.Booster(model_str=text))
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(f"no trees in it: {error}") from error

    @property
    def text(self) -> str:
        """The ensemble in LightGBM's text format."""
        found: str = self._booster.model_to_string()
        return found

    @property
    def rounds(self) -> int:
        """How many trees there are."""
        return int(self._booster.num_trees())

    def predict(self, rows: Floats) -> Floats:
        """float32[m]: probabilities."""
        found: Floats = np.asarray(self._booster.predict(rows), np.float32)
        return found

    def dump(self) -> dict[str, Any]:
        """The ensemble as LightGBM's nested dictionaries."""
        found: dict[str, Any] = self._booster.dump_model()
        return found


def halves(customer_ids: list[str]) -> NDArray[np.bool_]:
    """bool[n]: in which half a customer is, by the id alone."""
    digests = (blake2b(c.encode(), digest_size=1, person=b"half").digest()[0] for c in customer_ids)
    return np.fromiter((digest % 2 == 0 for digest in digests), dtype=bool, count=len(customer_ids))


def joined(tables: Tables, rows: Examples, score: Floats) -> Floats:
    """float32[m, F + 1], what the trees see: all columns that are numbers, DLRM's score."""
    parts = [
        tables.customers.numbers[rows.customer], tables.items.numbers[rows.item], rows.pair.numbers,
        tables.requests.numbers[rows.customer], score[:, None],
    ]  # fmt: skip
    return np.concatenate(parts, axis=1, dtype=np.float32)


@dataclass(frozen=True)
class Stack:
    """What is served: a DLRM with trees over it, calibrated; without trees the DLRM alone."""

    ranker: Ranker
    trees: Trees | None
    calibration: Calibration = UNCALIBRATED

    def predict(self, tables: Tables, rows: Examples) -> Floats:
        """float32[m]: the probability of each example."""
        score = self.ranker.predict(tables, rows)
        return self.calibration.of(self.over(joined(tables, rows, score)))

    def over(self, seen: Floats) -> Floats:
        """float32[m]: what the trees make of rows of `joined`, not calibrated; without trees the DLRM's score."""
        return seen[:, DLRM] if self.trees is None else self.trees.predict(seen)


SEEN = "trees_see"
"""The tensor of the graph that the trees take."""


def with_trees(model: Any, trees: Trees) -> Any:
    """A DLRM's graph (`categorical`, `continuous` -> `score`) with trees put on it, inputs and output as before."""
    base = helper.make_node("Identity", ["score"], ["score"])
    graph = Graph(_renamed(model, "score", "dlrm_score"), "stacked")
    end = base  # everything is put before a node that is not kept
    graph.nodes.append(end)
    column = graph.keep(np.array([-1, 1], np.int64))
    first = graph.add(end, "Reshape", ["dlrm_score", column])
    seen = graph.add(end, "Concat", ["continuous", first], axis=1)
    graph.nodes.remove(end)
    ensemble = tree_ensemble(trees.dump())
    graph.nodes += [
        helper.make_node("Identity", [seen], [SEEN]),
        helper.make_node("TreeEnsembleRegressor", [SEEN], ["margin"], domain=TREE_OPERATORS, **ensemble),
        helper.make_node("Sigmoid", ["margin"], ["probability"]),
        helper.make_node("Reshape", ["probability", graph.keep(np.array([-1], np.int64))], ["score"]),
    ]
    if all(each.domain != TREE_OPERATORS for each in graph.model.opset_import):
        graph.model.opset_import.append(helper.make_opsetid(TREE_OPERATORS, _VERSION))
    return graph.finished()


def with_calibration(model: Any, calibration: Calibration) -> Any:
    """A ranker's graph whose score is calibrated, inputs and output as before."""
    graph = Graph(_renamed(model, "score", "raw_score"), "calibrated")

    def number(value: float) -> str:
        return graph.keep(np.array(value, np.float32))

    steps = [
        ("Clip", ["raw_score", number(NEAREST), number(1.0 - NEAREST)], "likely"),
        ("Sub", [number(1.0), "likely"], "unlikely"),
        ("Div", ["likely", "unlikely"], "odds"),
        ("Log", ["odds"], "log_odds"),
        ("Mul", ["log_odds", number(calibration.slope)], "sloped"),
        ("Add", ["sloped", number(calibration.shift)], "shifted"),
        ("Sigmoid", ["shifted"], "score"),
    ]
    graph.nodes += [helper.make_node(operator, inputs, [output]) for operator, inputs, output in steps]
    return graph.finished()


def _renamed(model: Any, old: str, new: str) -> Any:
    """The model with an inner name for its output, which stays what the graph calls its output."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
    return copy
