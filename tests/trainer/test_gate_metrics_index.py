"""The gate, the figures and the index."""

import math

import faiss
import numpy as np
import pytest

from trainer import index
from trainer.gate import objections
from trainer.metrics import auc, log_loss, ranking

pytestmark = pytest.mark.trainer

GOOD = {"auc": 0.85, "ndcg_at_10": 0.38, "ranker_loss": 0.3, "two_tower_loss": 7.0, "faiss_recall_at_100": 0.98}
MEASURED = GOOD | {"exam_positives": 500.0}


def test_a_good_model_passes():
    assert objections(MEASURED) == []
    assert objections(MEASURED, {"auc": 0.86, "ndcg_at_10": 0.40}) == []
    assert objections(GOOD | {"auc": math.nan, "ndcg_at_10": math.nan}) == []


@pytest.mark.parametrize(
    ("change", "parent", "says"),
    [
        ({"ranker_loss": math.nan}, None, "ranker_loss is nan"),
        ({"two_tower_loss": math.inf}, None, "two_tower_loss is inf"),
        ({"auc": 0.5}, None, "below"),
        ({"faiss_recall_at_100": 0.2}, None, "20%"),
        ({}, {"auc": 0.9, "ndcg_at_10": 0.38}, "auc fell"),
        ({}, {"auc": 0.85, "ndcg_at_10": 0.5}, "nDCG@10 fell"),
    ],
)
def test_a_bad_one_does_not(change, parent, says):
    found = objections(MEASURED | change, parent)
    assert len(found) == 1
    assert says in found[0]


def test_an_exam_of_a_handful_decides_nothing():
    assert objections(GOOD | {"auc": 0.4, "exam_positives": 12.0}, {"auc": 0.9, "ndcg_at_10": 0.9}) == []


def test_what_was_not_measured_is_an_objection():
    assert objections({}) == [f"{name} was not measured" for name in GOOD]


def test_auc_counts_ties_half():
    label = np.array([1, 0, 1, 0], np.float32)
    assert auc(label, np.array([0.9, 0.1, 0.8, 0.2], np.float32)) == 1.0
    assert auc(label, np.array([0.5, 0.5, 0.5, 0.5], np.float32)) == 0.5
    assert auc(label, np.array([0.9, 0.8, 0.1, 0.2], np.float32)) == 0.5
    assert math.isnan(auc(np.ones(3, np.float32), np.ones(3, np.float32)))
    assert log_loss(label, np.full(4, 0.5, np.float32)) == pytest.approx(math.log(2))


def test_ranking_is_protocol_a():
    customer = np.array([0, 0, 0, 2, 2])
    label = np.array([1, 0, 1, 0, 1], np.float32)
    score = np.array([0.9, 0.8, 0.7, 0.9, 0.1], np.float32)
    found = ranking(customer, label, score, np.array([3, 0, 1, 1]))
    first = (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3) + 1 / math.log2(4))
    assert found.ndcg == pytest.approx((first + 1 / math.log2(3) + 0) / 3)
    assert found.hit == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(3 / 5)


def test_the_kind_of_index_goes_by_size():
    assert [index.kind_for(n) for n in (10, 50_000, 5_000_000)] == ["flat", "ivf", "ivfpq"]


@pytest.mark.parametrize("kind", ["flat", "ivf", "ivfpq"])
def test_every_kind_finds_the_nearest(kind, tmp_path):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 16))
    points = (centres[rng.integers(0, 40, 12_000)] + 0.3 * rng.normal(size=(12_000, 16))).astype(np.float32)
    built = index.build(points, kind)
    recall = index.recall_at_100(built, points, points[:50])
    assert recall == 1.0 if kind == "flat" else recall > 0.5
    faiss.write_index(built, str(tmp_path / "index"))
    again = faiss.read_index(str(tmp_path / "index"))
    np.testing.assert_array_equal(again.search(points[:5], 10)[1], built.search(points[:5], 10)[1])
