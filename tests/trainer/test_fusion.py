"""Fused graphs against what the converter wrote, for every architecture there is."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest

from feature_repo.columns import columns
from tests.trainer.small_shop import RECIPE, SHOP
from trainer.export import converted
from trainer.fusion import fuse
from trainer.model_schema import capacities
from trainer.ranker import ARCHITECTURES, Ranker
from trainer.two_tower import TwoTower
from trainer.vocabulary import Vocabularies
from trainer.workflow import Moments, encoder_spec

pytestmark = pytest.mark.trainer

VALUES = 40


@pytest.fixture(scope="module")
def spec():
    found = columns(SHOP)
    vocabularies = {c.vocabulary: tuple(f"v{i}" for i in range(VALUES)) for c in found if c.kind == "categorical"}
    moments = Moments({c.name: 0.0 for c in found}, {c.name: 1.0 for c in found})
    return encoder_spec(found, Vocabularies(vocabularies), moments)


def function(architecture, spec):
    if architecture == "two-tower":
        return TwoTower(spec, capacities(spec), RECIPE).query_function
    return Ranker(spec, capacities(spec), RECIPE, architecture).score


def session(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def feed(asked, rows, largest=VALUES):
    random = np.random.default_rng(rows)
    widths = {each.name: each.shape[1] for each in asked.get_inputs()}
    return {
        "categorical": random.integers(0, largest, (rows, widths["categorical"])).astype(np.int32),
        "continuous": random.normal(size=(rows, widths["continuous"])).astype(np.float32),
    }


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "two-tower"])
def test_a_fused_graph_is_the_same_function(architecture, spec):
    before = converted(function(architecture, spec), "out")
    plain = session(before)
    fused = fuse(before)
    found = session(fused)
    for rows in (1, 3, 300):
        inputs = feed(plain, rows)
        np.testing.assert_allclose(found.run(["out"], inputs)[0], plain.run(["out"], inputs)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["dlrm", "mlp", "two-tower"])
def test_columns_are_taken_at_once(architecture, spec):
    """Not so the cross network's, whose inputs are also added, column by column, to what it makes of them."""
    before = converted(function(architecture, spec), "out")
    steps = len(before.graph.node)
    after = fuse(before).graph.node
    operators = Counter(node.op_type for node in after)
    assert len(after) < steps / 2
    assert operators["Slice"] == operators["NonZero"] == 0
    assert operators["Gather"] <= 2


def test_a_code_beyond_its_table_is_refused_and_not_looked_up_in_another(spec):
    found = session(fuse(converted(function("dlrm", spec), "out")))
    refuses_codes_beyond(found, feed(found, 2), spec)


def refuses_codes_beyond(found, inputs, spec):
    """Whether a graph refuses each column's first code that its table has no row for."""
    for name, rows in capacities(spec).items():
        for place, column in enumerate(spec.categorical):
            if column.vocabulary == name and column.name not in RECIPE.ranker_leaves_out:
                beyond = inputs["categorical"].copy()
                beyond[1, place] = rows
                with pytest.raises(Exception, match="out of data bounds"):
                    found.run(["out"], {**inputs, "categorical": beyond})


def test_a_graph_without_the_patterns_stays_as_it_is():
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["continuous"], ["out"])],
        "plain",
        [value("categorical", onnx.TensorProto.INT32, ["n", 2]), value("continuous", onnx.TensorProto.FLOAT, ["n", 3])],
        [value("out", onnx.TensorProto.FLOAT, ["n", 3])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    before = model.SerializeToString()
    assert fuse(model).SerializeToString() == before
