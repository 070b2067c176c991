"""Beyond accuracy: reliability, cold start, and what the dials cost, on cases small enough to count."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from deploy.evaluation import dials, markdown, pictures
from deploy.evaluation.visits import next_visits, worth
from streams.contracts.events import instant
from streams.contracts.requests import RecommendationRequest, RecommendedItem, Reply, Status
from trainer.evaluation.cold_start import by_history, new_items
from trainer.evaluation.protocol import DAY, Purchases, Split, split
from trainer.evaluation.ranking import Contender, score
from trainer.evaluation.reliability import reliability
from trainer.evaluation.served import Visit

START = 17_000 * DAY
CUT = START + 100 * DAY


def purchases(rows: list[tuple[str, str, float]]) -> Purchases:
    """Rows of customer, item and day, counted from the start."""
    customers, items = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
    return Purchases(
        customers,
        items,
        np.array([customers.index(row[0]) for row in rows]),
        np.array([items.index(row[1]) for row in rows]),
        np.array([START + int(row[2] * DAY) for row in rows]),
    )


@pytest.fixture
def cut() -> Split:
    """`old` has shopped on twelve days, `new` on one; `n` is an item of the last 20 days; the truth is `a` and `n`."""
    rows = [("old", "a", float(day)) for day in range(12)]
    rows += [("new", "b", 90.0), ("old", "n", 95.0), ("old", "a", 105.0), ("new", "n", 106.0), ("new", "a", 107.0)]
    return split(purchases(rows), CUT)


def test_what_is_said_is_compared_with_what_came() -> None:
    lists = {"a": ["x", "y"], "b": ["x", "z"], "stranger": ["x"]}
    scores = {"a": [0.9, 0.1], "b": [0.9, 0.1], "stranger": [0.5]}
    found = reliability(lists, scores, {"a": frozenset("x"), "b": frozenset("x"), "silent": frozenset("x")}, bins=2)
    assert (found["said"], found["came"]) == (pytest.approx([0.1, 0.9]), [0.0, 1.0])
    assert found["error"] == pytest.approx(0.1)
    assert found["places"] == 4
    with pytest.raises(ValueError, match="2 items have 1 scores"):
        reliability({"a": ["x", "y"]}, {"a": [0.5]}, {"a": frozenset("x")})


def test_customers_are_parted_by_their_shopping_days(cut: Split) -> None:
    served = score(Contender({"old": ["a"], "new": ["b"]}, {}), cut)
    other = score(Contender({"old": ["b"], "new": ["a", "n"]}, {}), cut)
    fewest, many = by_history(cut, served, {"other": other})
    assert (fewest["shopping_days"], fewest["customers"], fewest["served"]) == ([1, 3], 1, 0.0)
    assert (fewest["best_baseline"], fewest["best_baseline_ndcg_at_10"]) == ("other", 1.0)
    assert (many["shopping_days"], many["customers"], many["served"]) == ([11, 30], 1, 1.0)
    assert by_history(cut, served, {})[0]["best_baseline"] is None


def test_items_of_the_last_days_are_followed(cut: Split) -> None:
    found = new_items(cut, {"new": ["n", "a", "b"], "old": ["b"]})  # `old` bought nothing new: not asked
    assert found["items"] == 2  # b came on day 90, n on day 95
    assert found["share_at_10"] == pytest.approx(2 / 3)
    assert found["share_of_truth"] == pytest.approx(1 / 2)
    assert (found["precision_at_10"], found["precision_of_others_at_10"]) == (0.5, 1.0)


class Shop:
    """Answers with `a` and `b`; with `b` first where novelty is asked for."""

    def __init__(self) -> None:
        self.asked: list[RecommendationRequest] = []

    def order(self, request: RecommendationRequest) -> list[str]:
        return ["b", "a"] if request.novelty else ["a", "b"]

    def recommend_many(self, requests: Iterable[RecommendationRequest], concurrency: int = 1) -> Iterator[Any]:
        for request in requests:
            self.asked.append(request)
            items = [RecommendedItem(item_id=item, score=0.5) for item in self.order(request)]
            reply = Reply(
                correlation_id="c",
                recommendation_id="r",
                customer_id=request.customer_id,
                status=Status.OK,
                items=items,
            )
            yield SimpleNamespace(request=request, reply=reply, milliseconds=1.0)


@pytest.fixture
def turned(cut: Split) -> dict[str, Any]:
    plain = {"old": ["a", "b"], "new": ["a", "b"]}
    return dials.prices(Shop(), cut, plain, {"a": "food", "b": "drink"}, seed=0)


def test_each_dial_is_turned_and_judged(turned: dict[str, Any]) -> None:
    assert [row["at"] for row in turned["diversity"]] == [0.0, *dials.DIVERSITY]
    assert [row["at"] for row in turned["novelty"]] == [0.0, *dials.NOVELTY]
    first, *others = turned["novelty"]
    assert all(row["ndcg_at_10"] < first["ndcg_at_10"] for row in others)
    assert {row["diversity_at_10"] for rows in turned.values() for row in rows} == {1.0}
    assert first["new_share_at_10"] == 0.5  # `new` has bought b, `old` a and n: one of two is new to each


def test_tables_and_pictures_are_made_of_them(cut: Split, turned: dict[str, Any], tmp_path: Path) -> None:
    served = score(Contender({"old": ["a"], "new": ["b"]}, {}), cut)
    result = {
        "calibration": reliability({"old": ["a"]}, {"old": [0.7]}, cut.truth),
        "by_history": by_history(cut, served, {"most_bought": served}),
        "new_items": new_items(cut, {"new": ["n"]}),
        "dials": turned,
        "context": None,
    }
    text = markdown.beyond(result)
    assert "| 11 to 30 | 1 | 1.0000 | 1.0000 | most bought |" in text
    assert "| told | .7000 |" in text
    for part in (result, result | {"dials": None}):
        pictures.beyond(part, tmp_path / "beyond.png")
        assert (tmp_path / "beyond.png").read_bytes()[:4] == b"\x89PNG"
        assert markdown.beyond(part).count("\n| ---") == (5 if part["dials"] else 3)


def test_the_next_visit_is_the_first_purchase_after_the_cut() -> None:
    rows = [
        ("old", 5, "purchase", "s1"), ("old", 11, "view", "s2"), ("old", 14, "purchase", "s4"),
        ("old", 12, "purchase", "s3"), ("new", 10, "purchase", "s1"), ("new", 20, "purchase", "s5"),
    ]  # fmt: skip
    names = ("customer_id", "time", "type", "context")
    columns = list(zip(*rows, strict=True))
    columns[3] = tuple(f'{{"store":"{store}"}}' for store in columns[3])
    found = next_visits(pa.table(dict(zip(names, map(list, columns), strict=True))), 10)
    assert found == {"old": Visit(12, {"store": "s3"}), "new": Visit(20, {"store": "s5"})}


class Corner(Shop):
    """Knows what is bought at the corner, and nothing else."""

    def order(self, request: RecommendationRequest) -> list[str]:
        return ["a", "n"] if request.context else ["b"]


def test_what_a_context_is_worth(cut: Split) -> None:
    visits = {name: Visit(cut.cut + 7_000, {"store": "corner"}) for name in cut.truth}
    shop = Corner()
    found = worth(shop, cut, visits, seed=0)
    assert {(request.as_of, bool(request.context)) for request in shop.asked} == {
        (instant(cut.cut + 7_000), False),
        (instant(cut.cut + 7_000), True),
    }
    assert found["customers"] == len(cut.truth)
    assert found["told"]["ndcg_at_10"] - found["silent"]["ndcg_at_10"] == pytest.approx(
        found["difference"]["ndcg_at_10"]
    )
    assert found["difference"]["ndcg_at_10"] > 0
    assert worth(shop, cut, {name: Visit(cut.cut + 7_000, {}) for name in cut.truth}, seed=0) == {"customers": 0}
