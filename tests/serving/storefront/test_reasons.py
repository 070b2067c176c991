import pytest

from feature_repo.columns import CATEGORY_CONTINUOUS, PAIR_CONTINUOUS
from serving.storefront.reasons import PROPOSED, evidence, feature_words, proposals, reason, steps, value_words
from serving.storefront.shelves import Movement, Placed
from streams.contracts.requests import RecommendedItem, Source


def item(*sources: Source, **told: float) -> RecommendedItem:
    return RecommendedItem(item_id="a", score=1.0, sources=list(sources), explanation=told or None)


def test_places_before_and_after() -> None:
    assert steps(Placed(item(), 3, Movement.UP, 18)) == "Place 21 → 3"
    assert steps(Placed(item(), 3, Movement.NEW)) == "New, place 3"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("share_of_product_type", 0.234, "Of what you buy, how much has its product type: 23%"),
        ("pair_share_of_days", 0.5, "Share of your shopping days with it: 50%"),
        ("pair_lines", 16.0, "Times you bought it: 16"),
        ("pair_lines", None, "Times you bought it: unknown"),
        ("product_category", "CHEESE", "Product category: CHEESE"),
    ],
)
def test_an_input_of_the_model_in_words(name: str, value: float | str | None, words: str) -> None:
    assert f"{feature_words(name)}: {value_words(name, value)}" == words


def test_every_source_has_its_sentence() -> None:
    assert set(PROPOSED) == set(Source)
    for source in Source:
        assert reason(item(source))
        assert [found for found, _ in proposals(item(source))] == [source]


@pytest.mark.parametrize(
    ("recommended", "words"),
    [
        (item(Source.TRENDING, Source.HISTORY), "Bought before"),
        (item(Source.HISTORY, pair_lines=4.0), "Bought 4 times"),
        (item(Source.HISTORY, pair_lines=4.0, session_views=1.0), "You looked at this"),
        (item(Source.HISTORY, pair_lines=4.0, session_views=1.0, pair_recency_days=0.001), "Just bought"),
        (item(Source.HISTORY, session_views=1.0, session_in_cart=1.0), "In your cart"),
        (item(), ""),
    ],
)
def test_a_card_gives_the_most_personal_reason(recommended: RecommendedItem, words: str) -> None:
    assert reason(recommended) == words


def test_nothing_is_said_of_what_never_was() -> None:
    nothing = dict.fromkeys([*PAIR_CONTINUOUS, *CATEGORY_CONTINUOUS, "share_of_brand"], 0.0)
    assert evidence(nothing | {"pair_recency_days": 3650.0, "category_recency_days": 3650.0, "pair_rhythm": -1.0}) == []


def test_what_features_say_in_words() -> None:
    told = {
        "pair_lines": 2.0, "pair_share_of_days": 0.25, "pair_reciprocal_rank": 0.5, "pair_recency_days": 7.0,
        "pair_interval_days": 14.0, "session_category_views": 1.0, "share_of_brand": 0.1, "share_of_department": 0.4,
    }  # fmt: skip
    assert [(each.text, each.strength) for each in evidence(told)] == [
        ("You bought it twice, on 25% of your shopping days", 0.5),
        ("The last time was 7 days ago; usually 14 days pass", 0.5),
        ("You looked once at its category in this session", 0.2),
        ("40% of what you buy has the same department", 0.4),
        ("10% of what you buy has the same brand", 0.1),
    ]


def test_names_of_features_are_those_of_the_kernels() -> None:
    known = {*PAIR_CONTINUOUS, *CATEGORY_CONTINUOUS}
    for name in ("pair_lines", "pair_share_of_days", "pair_reciprocal_rank", "pair_recency_days", "pair_interval_days",
                 "session_in_cart", "session_views", "session_category_views", "category_lines",
                 "category_recency_days", "category_reciprocal_rank", "trending"):  # fmt: skip
        assert name in known
