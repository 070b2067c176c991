"""Diversity trades an item's score against its likeness to those before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.encoder import Encoder
from serving.diversity import diverse, similarities
from serving.local_scorer import LocalScorer
from serving.recommendation import Query
from serving.recommender import Recommender
from serving.snapshot import snapshot, widths
from tests.serving.shop import DEPARTMENTS, SHOP, TODAY, customers, encoder_spec, items_table
from tests.serving.tiny_bundle import write_bundle


def test_without_diversity_the_scores_decide() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    assert diverse(scores, np.ones((4, 4)), 3, 0.0).tolist() == [0, 1, 2]


def test_the_next_item_is_unlike_those_before_it() -> None:
    """Two kinds in turn, by hand: items 0 to 2 are of one, 3 and 4 of the other."""
    scores = np.array([1.0, 0.9, 0.8, 0.5, 0.0])
    kinds = np.array([1, 1, 1, 2, 2])
    alike = similarities(kinds.astype(np.int32), None, 5)
    assert diverse(scores, alike, 5, 0.5).tolist() == [0, 3, 1, 2, 4]
    assert diverse(scores, alike, 2, 1.0).tolist() == [0, 3]


@settings(deadline=None)
@given(
    st.lists(st.floats(-5, 5, width=32), min_size=0, max_size=20),
    st.integers(0, 25),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_it_chooses_so_many_distinct_places_the_best_first(
    scores: list[float], n: int, diversity: float, seed: int
) -> None:
    ordered = np.array(sorted(scores, reverse=True))
    vectors = np.random.default_rng(seed).normal(size=(len(scores), 4)).astype(np.float32)
    chosen = diverse(ordered, similarities(None, vectors, len(scores)), n, diversity).tolist()
    assert len(chosen) == len(set(chosen)) == min(n, len(scores))
    if chosen and diversity < 1:
        assert ordered[chosen[0]] == ordered[0]


def test_likeness_is_the_category_else_the_cosine() -> None:
    vectors = np.array([[1, 0], [2, 0], [0, 3], [-1, 0], [0, 0]], np.float32)
    found = similarities(np.array([1, 2, 0, 1, 0], np.int32), vectors, 5)
    assert found[0, 1] == pytest.approx(1.0)  # the same direction
    assert found[0, 2] == pytest.approx(0.0)
    assert found[0, 3] == 1.0  # opposite directions, one category
    assert found[1, 3] == 0.0
    assert found[2, 4] == 0.0  # no category is no common category, no vector no likeness


def test_a_recommender_looks_further_down_for_other_kinds(tmp_path: Path) -> None:
    items = items_table(60)
    spec = encoder_spec([f"i{k}" for k in range(60)])
    bundle = write_bundle(tmp_path, 1, [f"i{k}" for k in range(50)], widths(Encoder(spec)), spec.to_json(), SHOP.name)
    model = snapshot(bundle, items, TODAY)
    who = customers({"ann": ["i1", "i4", "i7", "i10"]}, items.catalogue)
    recommender = Recommender(items, LocalScorer(bundle), lambda: 0.0)

    def departments(diversity: float) -> list[str]:
        query = Query("ann", TODAY * 86_400_000_000, n=6, diversity=diversity, exclude_items=best_but_tea)
        [found] = recommender.recommend([query], who, model)
        return [DEPARTMENTS[int(items.catalogue.item_ids[row][1:]) % 3] for row in found.rows]

    [plain] = recommender.recommend([Query("ann", TODAY * 86_400_000_000, n=24)], who, model)
    best = [items.catalogue.item_ids[row] for row in plain.rows]
    best_but_tea = [item for item in best if int(item[1:]) % 3 != 2]
    assert set(departments(0.0)) == {"tea"}
    assert sorted(departments(1.0)[:3]) == sorted(DEPARTMENTS)
    assert len(departments(1.0)) == 6
    np.testing.assert_array_equal(model.vectors(np.array([3, 55]))[1], 0.0)  # an item that the model does not know
    np.testing.assert_array_equal(model.vectors(np.array([3]))[0], bundle.item_embeddings()[3])
