"""The stack: the graph that is served against LightGBM and Keras, and what the trees learn from."""

import numpy as np
import onnx
import onnxruntime
import pytest

from feature_repo.columns import columns
from tests.trainer.small_shop import RECIPE, SHOP
from trainer.calibration import Calibration
from trainer.examples import Examples, Tables
from trainer.export import export_stack
from trainer.model_schema import capacities
from trainer.ranker import Ranker
from trainer.stack import Stack, Trees, halves, joined
from trainer.vocabulary import Vocabularies
from trainer.workflow import Encoded, Moments, encoder_spec

pytestmark = pytest.mark.trainer

VALUES, ROWS = 40, 2_000


class Stacked:
    """A DLRM that was never trained, trees over it, and a graph of both."""

    def __init__(self, path):
        found = columns(SHOP)
        vocabularies = {c.vocabulary: tuple(f"v{i}" for i in range(VALUES)) for c in found if c.kind == "categorical"}
        moments = Moments({c.name: 0.0 for c in found}, {c.name: 1.0 for c in found})
        spec = encoder_spec(found, Vocabularies(vocabularies), moments)
        rows, rng = capacities(spec), np.random.default_rng(0)

        def encoded(group):
            wide = sum(c.group == group for c in spec.categorical), sum(c.group == group for c in spec.continuous)
            codes = rng.integers(0, VALUES, (ROWS, wide[0])).astype(np.int32)
            return Encoded(codes, rng.normal(size=(ROWS, wide[1])).astype(np.float32))

        self.tables = Tables(encoded("customer"), encoded("item"), encoded("request"))
        own = np.arange(ROWS)
        label = (self.tables.items.numbers[:, 0] > 0).astype(np.float32)
        self.rows = Examples(own, own[::-1].copy(), encoded("pair"), label)
        ranker = Ranker(spec, rows, RECIPE)
        seen = joined(self.tables, self.rows, ranker.predict(self.tables, self.rows))
        self.stack = Stack(ranker, Trees.learned(seen, label[::-1].copy(), RECIPE), Calibration(0.9, -1.0))
        whole = [self.tables.customers, self.tables.items.take(self.rows.item), self.rows.pair, self.tables.requests]
        self.sample = Encoded(np.hstack([e.codes for e in whole]), np.hstack([e.numbers for e in whole]))
        self.path = path / "ranker.onnx"
        self.difference = export_stack(self.stack, self.path, self.sample)

    def answer(self, sample):
        session = onnxruntime.InferenceSession(str(self.path), providers=["CPUExecutionProvider"])
        return session.run(["score"], {"categorical": sample.codes, "continuous": sample.numbers})[0]


@pytest.fixture(scope="module")
def stacked(tmp_path_factory):
    return Stacked(tmp_path_factory.mktemp("stack"))


def test_the_graph_is_the_stack(stacked):
    """But for the few rows whose DLRM score lies next to a threshold, which may fall to either side of it."""
    assert stacked.difference < 1e-4
    expected = stacked.stack.predict(stacked.tables, stacked.rows)
    apart = np.abs(stacked.answer(stacked.sample) - expected)
    assert (apart < 1e-4).mean() > 0.99
    assert expected.std() > 0.1


def test_inputs_and_outputs_are_those_of_a_ranker(stacked):
    graph = onnx.load(str(stacked.path)).graph
    assert [each.name for each in graph.input] == ["categorical", "continuous"]
    assert [each.name for each in graph.output] == ["score"]
    assert stacked.answer(Encoded(stacked.sample.codes[:1], stacked.sample.numbers[:1])).shape == (1,)


def test_trees_survive_their_text(stacked):
    seen = np.random.default_rng(1).normal(size=(50, stacked.sample.numbers.shape[1] + 1)).astype(np.float32)
    again = Trees.of(stacked.stack.trees.text)
    np.testing.assert_array_equal(again.predict(seen), stacked.stack.trees.predict(seen))
    with pytest.raises(ValueError, match="no trees"):
        Trees.of("nonsense")


def test_a_customers_half_is_its_own_for_ever():
    names = [f"c{i}" for i in range(400)]
    found = halves(names)
    np.testing.assert_array_equal(halves(names[::-1])[::-1], found)
    assert 120 < found.sum() < 280
