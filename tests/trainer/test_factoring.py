"""Factored graphs against fused ones: whatever rows have in common, and in whatever order they come."""

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.trainer.test_fusion import feed, function, refuses_codes_beyond, session, spec
from trainer.export import converted
from trainer.factoring import factored
from trainer.fusion import fuse
from trainer.ranker import QUERY_GROUPS

pytestmark = pytest.mark.trainer

__all__ = ["spec"]


def copy(model):
    again = onnx.ModelProto()
    again.CopyFrom(model)
    return again


@pytest.fixture(scope="module")
def fused(spec):
    return fuse(converted(function("dlrm", spec), "out"))


@pytest.fixture(scope="module")
def shared(spec):
    return [place for place, column in enumerate(spec.categorical) if column.group in QUERY_GROUPS]


@pytest.fixture(scope="module")
def before(fused):
    return session(fused)


@pytest.fixture(scope="module")
def after(fused, shared):
    return session(factored(copy(fused), shared))


def of_customers(asked, owner, shared):
    """Rows whose shared columns are those of `owner: int64[n]`, the others their own."""
    inputs = feed(asked, len(owner))
    theirs = feed(asked, int(owner.max(initial=0)) + 1)["categorical"]
    inputs["categorical"][:, shared] = theirs[owner][:, shared]
    return inputs


@pytest.mark.parametrize(
    "owner",
    [
        np.zeros(1, np.int64), np.zeros(300, np.int64), np.repeat(np.arange(4), [1, 200, 7, 90]),
        np.arange(50), np.tile([0, 1, 0], 40),
    ],
    ids=["one row", "one customer", "some customers", "each its own", "customers that come again"],
)  # fmt: skip
def test_it_is_the_same_function(owner, before, after, shared):
    inputs = of_customers(before, owner, shared)
    expected = before.run(["out"], inputs)[0]
    np.testing.assert_allclose(after.run(["out"], inputs)[0], expected, rtol=1e-5, atol=1e-6)
    assert len(owner) == 1 or expected.std() > 0


def test_no_rows_have_no_scores(after):
    assert after.run(["out"], feed(after, 0))[0].shape == (0,)


def test_the_customers_vectors_are_looked_up_once(fused, shared, before):
    """Of 300 rows of one customer, the shared tables are asked once."""
    model = factored(copy(fused), shared)
    lookups = [node for node in model.graph.node if node.op_type == "Where"]
    model.graph.output.extend(onnx.ValueInfoProto(name=node.output[0]) for node in lookups)
    found = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = of_customers(before, np.zeros(300, np.int64), shared)
    shapes = sorted(each.shape for each in found.run([node.output[0] for node in lookups], inputs))
    assert [rows for rows, _ in shapes] == [1, 300]


def test_a_code_beyond_its_table_is_refused(spec, after, before, shared):
    refuses_codes_beyond(after, of_customers(before, np.zeros(3, np.int64), shared), spec)


@pytest.mark.parametrize("architecture", ["dcn", "mlp"])
def test_other_architectures_stay_as_they_are(architecture, spec, shared):
    model = fuse(converted(function(architecture, spec), "out"))
    assert factored(copy(model), shared).SerializeToString() == model.SerializeToString()


def test_nothing_is_shared_and_nothing_changes(fused):
    assert factored(copy(fused), []).SerializeToString() == fused.SerializeToString()
