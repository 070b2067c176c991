"""Baselines: the protocol's figures on the real data, and that no list knows the truth."""

import numpy as np
import pytest

from streams.sources.complete_journey import CompleteJourney
from trainer.evaluation.baselines import BASELINES, QUICK, Known, lists
from trainer.evaluation.metrics import judge
from trainer.evaluation.protocol import DAY, Purchases, Split, purchases_of, split
from trainer.evaluation.ranking import Contender, baseline_lists, differences, report, score

# The table of the protocol: nDCG@10, MAP@12, hit@10 over all items; nDCG@10 and MAP@12 over novel ones.
TABLE = {
    "most_popular_30d": (0.1672, 0.0728, 0.639, 0.0325, 0.0108),
    "time_weighted_popularity": (0.1683, 0.0721, 0.651, 0.0302, 0.0100),
    "most_bought": (0.3563, 0.2191, 0.800, None, None),
    "most_bought_decayed_60d": (0.3645, 0.2322, 0.779, None, None),
}


@pytest.fixture(scope="module")
def year() -> Split:
    return split(purchases_of(CompleteJourney().interactions_table()))


@pytest.fixture(scope="module")
def contenders(year) -> dict[str, Contender]:
    return baseline_lists(year, TABLE)


def test_the_protocols_customers(year):
    assert len(year.truth) == 1869
    assert len(year.novel_truth) == 1838


@pytest.mark.parametrize("name", TABLE)
def test_the_protocols_figures(year, contenders, name):
    ndcg, precision, hit, novel_ndcg, novel_precision = TABLE[name]
    found = {
        metric: values.mean() for metric, values in judge(contenders[name].everything, year.truth).metrics().items()
    }
    assert found["ndcg_at_10"] == pytest.approx(ndcg, abs=5.1e-5)
    assert found["map_at_12"] == pytest.approx(precision, abs=5.1e-5)
    assert found["hit_at_10"] == pytest.approx(hit, abs=5.1e-4)
    if novel_ndcg is None:
        return
    novel = {
        metric: values.mean() for metric, values in judge(contenders[name].novel, year.novel_truth).metrics().items()
    }
    # Counts of 30 days tie often, and the table does not say how it broke them: other ways give .0107 to .0109.
    ties = 1e-4 if name == "most_popular_30d" else 0.0
    assert novel["ndcg_at_10"] == pytest.approx(novel_ndcg, abs=5.1e-5 + ties)
    assert novel["map_at_12"] == pytest.approx(novel_precision, abs=5.1e-5 + ties)


def test_novel_lists_hold_nothing_bought_before(year, contenders):
    seen = year.past.by_customer()
    for contender in contenders.values():
        for customer, items in contender.novel.items():
            assert len(items) == 12
            assert not seen[customer] & set(items)


def test_lists_stay_the_same_when_the_truth_changes(year, contenders):
    """Another future, the same lists: what comes after the cut has no way into them."""
    other = {customer: frozenset(["nothing of the kind"]) for customer in year.truth}
    blind = baseline_lists(Split(year.cut, year.past, other, other), TABLE)
    for name, contender in contenders.items():
        assert blind[name].everything == contender.everything
        few = list(contender.novel)[:200]
        assert {c: blind[name].novel[c] for c in few} == {c: contender.novel[c] for c in few}


def test_a_past_that_reaches_beyond_the_cut_is_refused(year):
    with pytest.raises(ValueError, match="lies after the cut"):
        Known.at(year.past, int(year.past.time.max()) - 1)


def test_ties_go_to_the_first_id():
    one = np.array([0, 0, 0])
    past = Purchases(["a"], ["x", "y", "z"], one, np.array([2, 1, 0]), np.array([1, 1, 1]) * DAY)
    known = Known.at(past, 2 * DAY)
    for name in TABLE:
        assert lists(known, BASELINES[name](known), ["a"], ["a"], k=2) == ({"a": ["x", "y"]}, {"a": []})


def test_names_choose_and_each_tells_its_seconds(year):
    told: list[tuple[str, float]] = []
    few = Split(year.cut, year.past, dict(list(year.truth.items())[:5]), {})
    found = baseline_lists(few, ["most_bought", "most_popular_30d"], lambda name, seconds: told.append((name, seconds)))
    assert list(found) == [name for name, _ in told] == ["most_bought", "most_popular_30d"]
    assert all(seconds > 0 for _, seconds in told)
    assert found["most_bought"].novel == {}
    with pytest.raises(ValueError, match="no baseline 'most_baught'; choose among most_popular_30d"):
        baseline_lists(few, ["most_baught"])
    assert set(QUICK) <= set(BASELINES)


def test_the_report_holds_what_the_page_shows(year, contenders):
    served = score(contenders["most_bought_decayed_60d"], year, seed=3)
    others = {name: score(contenders[name], year, seed=3) for name in ("most_popular_30d", "most_bought")}
    found = report(year, served, others, seed=3)
    assert found["cut"].startswith("2017-12-1")
    for figures in (found["served"], *found["baselines"].values()):
        for metric in (
            "ndcg_at_10", "map_at_12", "hit_at_10", "novel_ndcg_at_10", "novel_map_at_12", "coverage_at_10"
        ):  # fmt: skip
            low, high = figures[f"{metric}_interval"]
            assert low <= figures[metric] <= high
    above = found["served_minus"]["most_popular_30d"]["ndcg_at_10"]
    assert 0.18 < above["low"] < above["mean"] < above["high"] < 0.22
    assert differences(served, served)["ndcg_at_10"].high == 0.0
