"""Metrics against definitions spelled out place by place."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.evaluation.metrics import bootstrap, coverage, coverage_interval, diversity, judge, popularity_bias

ITEMS = [f"i{n}" for n in range(30)]
LISTS = st.dictionaries(
    st.sampled_from(["ann", "bob", "cleo"]), st.lists(st.sampled_from(ITEMS), unique=True, max_size=15)
)
TRUTHS = st.dictionaries(
    st.sampled_from(["ann", "bob", "cleo", "dan"]), st.frozensets(st.sampled_from(ITEMS), min_size=1), min_size=1
)


def by_hand(items: list[str], bought: frozenset[str]) -> dict[str, float]:
    gain = sum(1 / math.log2(place + 1) for place, item in enumerate(items[:10], start=1) if item in bought)
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(10, len(bought)) + 1))
    found, precisions = 0, 0.0
    for place, item in enumerate(items[:12], start=1):
        if item in bought:
            found += 1
            precisions += found / place
    hits = len(set(items[:10]) & bought)
    return {
        "ndcg_at_10": gain / ideal,
        "map_at_12": precisions / min(12, len(bought)),
        "recall_at_10": hits / min(10, len(bought)),
        "hit_at_10": float(hits > 0),
    }


@settings(deadline=None)
@given(LISTS, TRUTHS)
def test_every_customer_equals_the_definition(lists, truth):
    judged = judge(lists, truth)
    assert judged.customers == sorted(truth)
    for row, customer in enumerate(judged.customers):
        expected = by_hand(lists.get(customer, []), truth[customer])
        for name, values in judged.metrics().items():
            assert values[row] == pytest.approx(expected[name], abs=1e-12), (customer, name)


def test_a_perfect_list_scores_one_and_a_missing_one_nothing():
    truth = {"ann": frozenset(ITEMS[:12]), "bob": frozenset(ITEMS[:2])}
    for values in judge({"ann": ITEMS[:12], "bob": ITEMS[:12]}, truth).metrics().values():
        np.testing.assert_allclose(values, 1.0)
    for values in judge({}, truth).metrics().values():
        assert values.tolist() == [0.0, 0.0]


def test_an_item_named_twice_is_refused():
    with pytest.raises(ValueError, match="'ann' names an item twice"):
        judge({"ann": ["i1", "i1"]}, {"ann": frozenset(["i1"])})


def test_coverage_counts_the_first_ten_only():
    lists = {"ann": ITEMS[:12], "bob": ITEMS[1:3]}
    assert coverage(lists, 20) == 0.5
    interval = coverage_interval(lists, 20)
    assert interval.low <= interval.mean == 0.5 <= interval.high


def test_the_interval_has_the_width_that_theory_gives():
    values = np.random.default_rng(0).normal(0.4, 0.2, 2000)
    interval = bootstrap(values, seed=1)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=half / 5)
    assert interval.high == pytest.approx(values.mean() + half, abs=half / 5)
    assert bootstrap(values, seed=1) == interval


def test_diversity_is_the_share_of_pairs_of_different_categories():
    lists = {"ann": ["i1", "i2", "i3", "i4"], "bob": ["i1", "i2"], "cleo": ["i1"], "dan": ["i8", "i9"]}
    category = {"i1": "milk", "i2": "milk", "i3": "milk", "i4": "bread"}
    found = diversity(lists, ["ann", "bob", "cleo", "dan", "nobody"], category)
    assert found.tolist() == [0.5, 0.0, 0.0, 1.0, 0.0]
    assert diversity({"ann": [*ITEMS[:10], "i1"]}, ["ann"], dict.fromkeys(ITEMS, "all")).tolist() == [0.0]


def test_popularity_bias_is_told_by_places():
    lists = {"ann": ["i0", "i9"], "bob": ["i1"], "cleo": ["never bought"]}
    share, place = popularity_bias(lists, ["ann", "bob", "cleo", "nobody"], ITEMS, top=2)
    assert share.tolist() == [0.5, 1.0, 0.0, 0.0]
    np.testing.assert_allclose(place, [0.5, math.log10(2), math.log10(30), math.log10(30)])
