"""Recommending over arrays: what an answer holds, and what it falls back to."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_repo.encoder import FIRST_CODE, NULL, OUT_OF_VOCABULARY, Encoder
from feature_repo.items_state import SLOT, empty_items
from feature_repo.purchases import DAY
from feature_repo.request_context import request_columns
from serving.bundle import Bundle
from serving.candidates import LIMITS, Limits, Source
from serving.items_table import FeatureRecord
from serving.local_scorer import LocalScorer
from serving.recommendation import Query, Recommendation
from serving.recommender import Recommender
from serving.scorer import Nearest, ScorerError
from serving.snapshot import Snapshot, snapshot, widths
from streams.contracts.requests import FallbackReason
from tests.serving.shop import SHOP, TODAY, customers, encoder_spec, items_table, looks
from tests.serving.tiny_bundle import write_bundle

N = 120
ITEMS = [f"i{k}" for k in range(N)]
BOUGHT = {"ann": ITEMS[:30], "bob": ["i7", "i7", "i9"], "eve": []}
AS_OF = TODAY * DAY + 1000
TABLE = items_table(N)
CUSTOMERS = customers(BOUGHT, TABLE.catalogue, unknown=["zoe"])
PLACES = {name: place for place, name in enumerate(CUSTOMERS.ids)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    spec = encoder_spec(ITEMS)
    directory = tmp_path_factory.mktemp("bundles")
    bundle = write_bundle(directory, 1, ITEMS, widths(Encoder(spec)), spec.to_json(), SHOP.name)
    return snapshot(bundle, TABLE, TODAY)


@pytest.fixture(scope="module")
def recommender(model: Snapshot) -> Recommender:
    return Recommender(TABLE, LocalScorer(model.bundle), lambda: 0.0)


def ask(recommender: Recommender, model: Snapshot | None, *queries: Query) -> list[Recommendation]:
    rows = CUSTOMERS.take(np.array([PLACES[query.customer_id] for query in queries], np.int64))
    return recommender.recommend(queries, rows, model)


@settings(deadline=None)
@given(
    customer=st.sampled_from(["ann", "bob", "eve"]),
    n=st.integers(1, 200),
    exclude=st.sets(st.sampled_from(ITEMS)),
    exclude_purchased=st.booleans(),
    categories=st.sets(st.sampled_from(["bread", "tea"])),
)
def test_answers_are_ordered_distinct_and_filtered(
    recommender: Recommender,
    model: Snapshot,
    customer: str,
    n: int,
    exclude: set[str],
    exclude_purchased: bool,
    categories: set[str],
) -> None:
    query = Query(customer, AS_OF, n, tuple(exclude), exclude_purchased, tuple(categories))
    [answer] = ask(recommender, model, query)
    assert answer.reason is None
    assert answer.version == 1
    found = [ITEMS[row] for row in answer.rows]
    assert len(set(found)) == len(found) <= n
    assert not set(found) & exclude
    assert not (exclude_purchased and set(found) & set(BOUGHT[customer]))
    departments = ("bread", "fruit", "tea")
    assert all(not categories or departments[row % 3] in categories for row in answer.rows)
    assert (np.diff(answer.scores) <= 0).all()
    history = {item for item, mask in zip(found, answer.sources, strict=True) if mask & Source.HISTORY}
    assert history == set(found) & set(BOUGHT[customer])


def test_every_allowed_item_is_ranked_when_all_are_candidates(recommender: Recommender, model: Snapshot) -> None:
    """The best of all items by the model itself, worked out from the features as scored."""
    [everything] = ask(recommender, model, Query("ann", AS_OF, 200))
    assert sorted(everything.rows) == list(range(N))
    assert everything.features is not None
    scores = LocalScorer(model.bundle).rank(1, *everything.features)
    np.testing.assert_allclose(scores, everything.scores, rtol=1e-6)
    [best] = ask(recommender, model, Query("ann", AS_OF, 10))
    assert best.rows.tolist() == everything.rows[:10].tolist()


def test_a_batch_answers_as_each_alone(recommender: Recommender, model: Snapshot) -> None:
    queries = [
        Query("ann", AS_OF, 5),
        Query("zoe", AS_OF, 5),
        Query("bob", AS_OF - 3 * DAY, 5),
        Query("ann", AS_OF + DAY, 7, exclude_purchased=True),
        Query("eve", AS_OF, 5),
    ]
    together = ask(recommender, model, *queries)
    for query, answer in zip(queries, together, strict=True):
        [alone] = ask(recommender, model, query)
        assert answer.rows.tolist() == alone.rows.tolist()
        np.testing.assert_allclose(answer.scores, alone.scores, rtol=1e-6)
        assert answer.reason == alone.reason


def test_taste_is_that_of_what_is_held(recommender: Recommender, model: Snapshot) -> None:
    """It is a column of every candidate and proposes what is not held, worked out here from the bundle's file."""
    tables = model.bundle.taste()
    assert tables is not None
    held = [ITEMS.index(item) for item in BOUGHT["ann"]]
    taste = tables[0, held].sum(axis=0) @ tables[1].T
    [answer] = ask(recommender, model, Query("ann", AS_OF, N, explain=True))
    for row, columns in zip(answer.rows.tolist(), answer.explanations or [], strict=True):
        assert columns["taste"] == pytest.approx(taste[row], rel=1e-5)
    proposed = {row for row, mask in zip(answer.rows.tolist(), answer.sources, strict=True) if mask & Source.TASTE}
    others = sorted(set(range(N)) - set(held), key=lambda row: -taste[row])
    assert proposed == set(others[: LIMITS.taste])


def test_sessions_and_trends_of_a_batch_are_each_customers_own(model: Snapshot) -> None:
    """A looker between a stranger and somebody silent: nobody sees another's session, all see the same trends."""
    table = items_table(N)
    hot = empty_items(1)
    hot["hot_slot"], hot["hot"][0, :] = AS_OF // SLOT, 2
    table.apply_features([FeatureRecord("1", "i5", hot.tobytes())])
    viewed = ["i50", "i8", "i2"]
    bought = {"bob": ["i7"], "max": ["i9"]}
    rows = customers(bought, table.catalogue, unknown=["zoe"], recent={"max": looks(viewed, AS_OF)})
    place = {name: at for at, name in enumerate(rows.ids)}
    queries = [Query(name, AS_OF, N, explain=True) for name in ("zoe", "max", "bob")]
    recommender = Recommender(table, LocalScorer(model.bundle), lambda: 0.0)
    chosen = rows.take(np.array([place[query.customer_id] for query in queries]))
    stranger, looking, silent = recommender.recommend(queries, chosen, model)
    assert stranger.rows[:2].tolist() == [5, N - 1]
    assert stranger.sources[:2].tolist() == [Source.HOT | Source.TRENDING, Source.TRENDING]
    told = dict(zip(looking.rows.tolist(), looking.explanations or [], strict=True))
    assert {row for row, columns in told.items() if columns["session_views"]} == {50, 8, 2}
    from_session = {row for row, mask in zip(looking.rows, looking.sources, strict=True) if mask & Source.SESSION}
    assert {50, 8, 2} < from_session  # and the best of their department
    assert {row % 3 for row in from_session} == {2}
    assert not any(columns["session_views"] for columns in silent.explanations or [])
    assert not (silent.sources & Source.SESSION).any()
    for answer in (looking, silent):
        columns = dict(zip(answer.rows.tolist(), answer.explanations or [], strict=True))
        weight = sum(2 * np.exp(-age * 5 / 45) for age in range(32))
        assert {row: c["trending"] for row, c in columns.items() if c["trending"]} == {5: pytest.approx(weight)}


def test_a_requests_context_reaches_the_ranker_and_silence_is_unknown(
    recommender: Recommender, model: Snapshot
) -> None:
    """What was scored, against the columns by themselves; every query of a batch has its own."""
    asked: list[tuple[str, dict[str, str], int]] = [
        ("ann", {"channel": "app"}, AS_OF),
        ("bob", {}, AS_OF),
        ("zoe", {"channel": "web"}, AS_OF),
        ("eve", {"store": "3"}, AS_OF - 2 * DAY),
        ("ann", {"channel": "pigeon"}, AS_OF + 3_600_000_000),
    ]
    answers = ask(recommender, model, *(Query(who, at, 9, context=context) for who, context, at in asked))
    wide = [len(names) for names in model.encoder.names("request")]
    assert wide == [1, 4]
    found = []
    for (_, context, at), answer in zip(asked, answers, strict=True):
        codes, numbers = model.encoder.encode(request_columns(SHOP, [context], np.array([at])), "request")
        if answer.features is None:
            assert answer.reason is FallbackReason.UNKNOWN_CUSTOMER
            continue
        np.testing.assert_array_equal(answer.features.categorical[:, -1:], np.repeat(codes, 9, axis=0))
        np.testing.assert_array_equal(answer.features.continuous[:, -4:], np.repeat(numbers, 9, axis=0))
        found.append((int(codes[0, 0]), bool(numbers.any())))
    assert found == [(FIRST_CODE + 1, True), (NULL, False), (NULL, True), (OUT_OF_VOCABULARY, True)]
    [silent] = ask(recommender, model, Query("ann", AS_OF, 9))
    assert silent.scores.tolist() != answers[0].scores.tolist()


def test_a_model_that_knows_no_context_answers_whatever_is_told(tmp_path: Path) -> None:
    spec = encoder_spec(ITEMS)
    before = msgspec.structs.replace(
        spec,
        categorical=tuple(c for c in spec.categorical if c.group != "request"),
        continuous=tuple(c for c in spec.continuous if c.group != "request"),
    )
    bundle = write_bundle(tmp_path, 1, ITEMS, widths(Encoder(before)), before.to_json(), SHOP.name)
    recommender, model = Recommender(TABLE, LocalScorer(bundle), lambda: 0.0), snapshot(bundle, TABLE, TODAY)
    silent, telling = ask(recommender, model, Query("ann", AS_OF), Query("ann", AS_OF, context={"channel": "app"}))
    assert silent.reason is None
    assert silent.scores.tolist() == telling.scores.tolist()


def trending_first(n: int) -> list[int]:
    return list(range(N - 1, N - 1 - n, -1))


def test_fallbacks_are_trending_with_the_reason(recommender: Recommender, model: Snapshot) -> None:
    [stranger, late, normal] = ask(
        recommender, model, Query("zoe", AS_OF, 3), Query("ann", AS_OF, 4, deadline=-1.0), Query("ann", AS_OF, 2)
    )
    assert (stranger.reason, stranger.rows.tolist()) == (FallbackReason.UNKNOWN_CUSTOMER, trending_first(3))
    assert (late.reason, late.rows.tolist()) == (FallbackReason.DEADLINE, trending_first(4))
    assert normal.reason is None
    [unready] = ask(recommender, None, Query("ann", AS_OF, 3, exclude_items=["i119"]))
    assert unready.reason is FallbackReason.MODEL_UNAVAILABLE
    assert unready.rows.tolist() == trending_first(4)[1:]


class Broken:
    """A scorer that retrieves as told and then breaks, with a clock that moves on while it does."""

    def __init__(self, scorer: LocalScorer) -> None:
        self.scorer = scorer
        self.now = 0.0

    def retrieve(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32], k: int
    ) -> Nearest:
        return self.scorer.retrieve(version, categorical, continuous, k)

    def rank(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        self.now += 5.0
        raise ScorerError("gone")


def test_models_that_break_cost_personality_only(model: Snapshot) -> None:
    broken = Broken(LocalScorer(model.bundle))
    recommender = Recommender(TABLE, broken, lambda: broken.now)
    [patient, hasty] = ask(
        recommender, model, Query("ann", AS_OF, 3, deadline=60.0), Query("bob", AS_OF, 3, deadline=1.0)
    )
    assert (patient.reason, hasty.reason) == (FallbackReason.MODEL_UNAVAILABLE, FallbackReason.DEADLINE)
    assert patient.rows.tolist() == hasty.rows.tolist() == trending_first(3)


class Deaf(LocalScorer):
    """A scorer that cannot be asked for items, or loses the question."""

    def __init__(self, model: Snapshot, at_once: bool) -> None:
        super().__init__(model.bundle)
        self.at_once = at_once

    def retrieve(self, *_: object) -> Nearest:
        def lost() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            raise ScorerError("gone")

        return lost() if self.at_once else lost


@pytest.mark.parametrize("at_once", [True, False])
def test_a_two_tower_that_does_not_answer_costs_personality_only(model: Snapshot, at_once: bool) -> None:
    recommender = Recommender(TABLE, Deaf(model, at_once), lambda: 0.0)
    [ann, stranger] = ask(recommender, model, Query("ann", AS_OF, 3), Query("zoe", AS_OF, 3))
    assert (ann.reason, ann.rows.tolist()) == (FallbackReason.MODEL_UNAVAILABLE, trending_first(3))
    assert (stranger.reason, stranger.rows.tolist()) == (FallbackReason.UNKNOWN_CUSTOMER, trending_first(3))


def test_nothing_left_is_an_empty_answer(recommender: Recommender, model: Snapshot) -> None:
    [answer] = ask(recommender, model, Query("ann", AS_OF, 3, exclude_items=ITEMS))
    assert (len(answer.rows), answer.reason) == (0, None)


class Counting(LocalScorer):
    """Remembers how many rows it was asked to rank."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.asked: list[int] = []

    def rank(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        self.asked.append(len(categorical))
        return super().rank(version, categorical, continuous)


def test_candidates_stay_within_the_limits(model: Snapshot) -> None:
    limits = Limits(two_tower=20, history=20, trending=20, total=25)
    scorer = Counting(model.bundle)
    ask(Recommender(TABLE, scorer, lambda: 0.0, limits), model, Query("ann", AS_OF, 10))
    assert scorer.asked == [25]


@pytest.mark.parametrize(("n", "scored"), [(1, 30), (6, 30), (12, 60), (60, 100)])
def test_a_longer_list_has_more_candidates_up_to_the_limit(model: Snapshot, n: int, scored: int) -> None:
    scorer = Counting(model.bundle)
    recommender = Recommender(TABLE, scorer, lambda: 0.0, Limits(total=100), scored=30)
    [answer] = ask(recommender, model, Query("ann", AS_OF, n))
    assert (scorer.asked, len(answer.rows)) == ([scored], n)


def test_a_bundle_of_another_shop_is_refused(tmp_path: Path) -> None:
    spec = encoder_spec(ITEMS)
    bundle = write_bundle(tmp_path, 1, ITEMS, widths(Encoder(spec)), spec.to_json(), "elsewhere")
    with pytest.raises(ValueError, match="is for shop 'elsewhere', this process serves 'corner'"):
        snapshot(bundle, TABLE, TODAY)
