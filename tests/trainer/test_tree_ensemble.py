"""Trees in onnxruntime against LightGBM's own prediction."""

import lightgbm
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from trainer.tree_ensemble import tree_ensemble

pytestmark = pytest.mark.trainer

FEATURES = 7


def rows(n, seed, missing=False):
    """Numbers of many sizes, whole ones and exact zeros among them, all of float32."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(n, FEATURES)) * 10.0 ** rng.integers(-4, 5, FEATURES)
    found[:, 1] = rng.integers(0, 9, n)
    found[rng.random(found.shape) < 0.1] = 0.0
    if missing:
        found[rng.random(found.shape) < 0.2] = np.nan
    return found.astype(np.float32)


def learned(seed=0, missing=False, **parameters):
    x = rows(4_000, seed, missing)
    label = np.nan_to_num(x[:, 0]) > np.nan_to_num(x[:, 1] - 4) * np.nan_to_num(x[:, 2])
    data = lightgbm.Dataset(x, label.astype(np.float32), params={"verbose": -1})
    settings = {"objective": "binary", "num_leaves": 17, "verbose": -1, "num_threads": 2, "seed": seed, **parameters}
    return lightgbm.train(settings, data, num_boost_round=20)


def answered(booster, x):
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **tree_ensemble(booster.dump_model())
    )
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "trees", [value("x", TensorProto.FLOAT, ["n", FEATURES])], [value("y", TensorProto.FLOAT, ["n", 1])]
    )
    domains = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0][:, 0]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("use_missing", [True, False])
@pytest.mark.parametrize("missing", [True, False])
def test_the_node_computes_what_lightgbm_predicts(seed, use_missing, missing):
    booster = learned(seed, missing, use_missing=use_missing)
    x = rows(1_000, seed + 100, missing=True)
    np.testing.assert_allclose(answered(booster, x), booster.predict(x, raw_score=True), rtol=1e-5, atol=1e-5)


def test_a_value_at_the_threshold_goes_where_lightgbm_sends_it():
    booster = learned()
    thresholds = np.array([t for t in splits(booster.dump_model()) if abs(t) < 1e30], np.float64)
    near = thresholds.astype(np.float32)
    around = np.concatenate([np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))])
    x = np.repeat(around[:, None], FEATURES, axis=1)
    np.testing.assert_allclose(answered(booster, x), booster.predict(x, raw_score=True), rtol=1e-5, atol=1e-5)


def splits(dump):
    waiting = [tree["tree_structure"] for tree in dump["tree_info"]]
    for node in waiting:
        if "threshold" in node:
            yield node["threshold"]
            waiting += [node["left_child"], node["right_child"]]


def test_trees_of_one_leaf_are_their_constant():
    x = rows(200, 3)
    data = lightgbm.Dataset(x, np.arange(200) % 2, params={"verbose": -1, "min_data_in_leaf": 500})
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "min_data_in_leaf": 500}, data, num_boost_round=2)
    np.testing.assert_allclose(answered(booster, x), booster.predict(x, raw_score=True), atol=1e-6)


def test_what_has_no_form_is_refused():
    x = rows(2_000, 4)
    x[:, 1] = np.arange(2_000) % 9
    data = lightgbm.Dataset(x, x[:, 1] % 2, categorical_feature=[1], params={"verbose": -1})
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "min_data_in_leaf": 5}, data, num_boost_round=2)
    with pytest.raises(ValueError, match="no ONNX form"):
        tree_ensemble(booster.dump_model())
