"""Calibration: what is said comes true, and nobody changes places."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from trainer.calibration import BINS, UNCALIBRATED, Calibration, calibration_error, fitted
from trainer.stack import with_calibration

pytestmark = pytest.mark.trainer


def crowd(n=60_000, seed=0):
    """True probabilities of rows and what came of them."""
    rng = np.random.default_rng(seed)
    true = (1 / (1 + np.exp(-rng.normal(-3, 1.5, n)))).astype(np.float32)
    return true, (rng.random(n) < true).astype(np.float32)


def overrated(probability, times=7.0):
    """What a model says that met one in `times` of the refused."""
    return (probability / (probability + (1 - probability) / times)).astype(np.float32)


def test_what_was_overrated_comes_true():
    true, label = crowd()
    said = overrated(true)
    found = fitted(label, said).of(said)
    assert calibration_error(label, said) > 0.1
    assert calibration_error(label, found) < 0.005
    np.testing.assert_allclose(found, true, atol=0.03)


def test_the_order_stays():
    true, label = crowd()
    said = overrated(true)
    found = fitted(label, said).of(said)
    order = np.argsort(said, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    assert len(np.unique(found)) > 0.9 * len(np.unique(said))


@pytest.mark.parametrize("bought", [0, 49, 951, 1000])
def test_too_few_of_a_kind_change_nothing(bought):
    label = (np.arange(1000) < bought).astype(np.float32)
    assert fitted(label, np.linspace(0, 1, 1000, dtype=np.float32)) is UNCALIBRATED
    assert not UNCALIBRATED.changes


def test_scores_that_say_the_opposite_change_nothing():
    true, label = crowd()
    assert fitted(label, 1 - true) is UNCALIBRATED


def test_the_error_is_the_distance_of_what_is_said_from_what_comes():
    label = np.tile([0, 1], 500).astype(np.float32)
    assert calibration_error(label, np.full(1000, 0.5, np.float32)) == pytest.approx(0.0)
    assert calibration_error(label, np.full(1000, 0.75, np.float32)) == pytest.approx(0.25)
    assert calibration_error(label[: BINS - 3], np.full(BINS - 3, 0.5, np.float32)) > 0
    assert np.isnan(calibration_error(label[:0], label[:0]))


def test_the_graph_computes_the_same():
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["categorical"], ["score"])],
        "ranker", [value("categorical", TensorProto.FLOAT, ["n"])], [value("score", TensorProto.FLOAT, ["n"])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    calibration = Calibration(slope=0.8, shift=-1.7)
    found = with_calibration(model, calibration)
    onnx.checker.check_model(found)
    session = onnxruntime.InferenceSession(found.SerializeToString(), providers=["CPUExecutionProvider"])
    odds = np.linspace(-40, 40, 999, dtype=np.float32)
    answer = session.run(["score"], {"categorical": odds})[0]
    np.testing.assert_allclose(answer, calibration.of((1 / (1 + np.exp(-odds))).astype(np.float32)), atol=2e-5)
    assert 0 < answer.min() < answer.max() < 1
