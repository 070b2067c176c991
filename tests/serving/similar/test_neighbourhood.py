"""What is like an item: by text, by baskets, by both; filtered, and never without an answer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from feature_repo.catalogue import CatalogueItem
from feature_repo.shop import Shop
from serving.items_table import ItemsTable
from serving.similar.answers import NoCategoryError, UnknownItemError, Why
from serving.similar.followers import Intake
from serving.similar.neighbourhood import Neighbourhood
from streams.contracts.embeddings import Embedding, encode
from tests.serving.shop import TODAY
from tests.serving.similar.world import World, embedding, ids, record, table

TEXTS = {
    "rye": "bread rye", "wheat": "bread wheat", "roll": "bread roll", "apple": "fruit apple", "pear": "fruit pear",
    "green": "tea green",
}  # fmt: skip


@pytest.fixture
def world() -> World:
    items = {name: (text.split()[0], 10 * k) for k, (name, text) in enumerate(TEXTS.items())}
    found = World(table({**items, "new": ("fruit", 0)}))
    found.say(TEXTS)
    return found


def nearest(name: str) -> list[str]:
    """Items in the order of their texts' cosines with this one's."""
    vectors = {each: embedding(text).vector for each, text in TEXTS.items()}
    return sorted(TEXTS.keys() - {name}, key=lambda other: -float(vectors[name] @ vectors[other]))


def test_by_text_alone_the_nearest_text_comes_first(world: World) -> None:
    found = world.near.similar("rye", 5, blend=0.0)
    cosines = [each.cosine or 0.0 for each in found]
    assert set(ids(found)) == set(nearest("rye"))
    assert ids(found)[0] == nearest("rye")[0]
    assert all(early >= late - 0.05 for early, late in pairwise(cosines)), "but for what sells"
    assert all(each.because == [Why.TEXT] for each in found)


def test_among_equal_texts_the_one_that_sells_comes_first(world: World) -> None:
    world.say({name: "quark" for name in ("rye", "wheat", "roll", "apple", "pear")})
    found = world.near.similar("roll", 4, blend=0.0)
    assert ids(found) == ["pear", "apple", "wheat", "rye"]
    assert {each.cosine for each in found} == {1.0}


def test_baskets_speak_for_what_no_text_would_show(world: World) -> None:
    world.count("rye", together=[("green", 0.9, 41)], instead=[("pear", 0.4, 12), ("green", 0.5, 3)])
    assert ids(world.near.similar("rye", 2, blend=1.0)) == ["green", "pear"]
    found = {each.item_id: each for each in world.near.similar("rye", 5)}
    assert (found["green"].together, found["green"].instead) == (41, 3)
    assert found["green"].because == [Why.TEXT, Why.TOGETHER, Why.INSTEAD]
    assert found["pear"].because == [Why.TEXT, Why.INSTEAD]
    assert found["wheat"].because == [Why.TEXT]
    alone = {each.item_id: each.score for each in world.near.similar("rye", 5, blend=0.0)}
    assert all(found[name].score != pytest.approx(alone[name]) for name in ("green", "pear", "wheat"))


def test_an_item_without_a_text_vector_has_its_baskets(world: World) -> None:
    world.count("new", together=[("apple", 0.9, 9)])
    found = world.near.similar("new", 1)
    assert (ids(found), found[0].cosine, found[0].together) == (["apple"], None, 9)


def test_where_nothing_is_known_the_best_of_its_category_is_shown(world: World) -> None:
    found = world.near.similar("new", 5)
    assert ids(found) == ["pear", "apple"]
    assert all(each.because == [Why.POPULAR] for each in found)
    assert [(each.category, each.price, each.name) for each in found] == [
        ("fruit", 1.0, "Item pear"),
        ("fruit", 1.0, "Item apple"),
    ]


def test_only_the_wanted_category(world: World) -> None:
    world.count("rye", together=[("green", 0.9, 9), ("apple", 0.1, 5)])
    assert set(ids(world.near.similar("rye", 9, category="fruit"))) == {"apple", "pear", "new"}
    assert ids(world.near.similar("rye", 9, category="tea")) == ["green"]
    assert world.near.similar("rye", 9, category="cars") == []
    assert world.near.similar("rye", 9, category="") == []


def test_a_hidden_item_is_shown_only_when_asked_for(world: World) -> None:
    world.count("rye", together=[("wheat", 0.9, 9)])
    world.items.apply_catalogue({"wheat": CatalogueItem("wheat", "Wheat", False, 100, {"department": "bread"})})
    assert "wheat" not in ids(world.near.similar("rye", 9))
    assert "wheat" not in ids(world.near.bought_together("rye", 9))
    assert ids(world.near.similar("rye", 1, available_only=False)) == ["wheat"]


def test_a_deleted_item_is_never_shown_and_comes_back_with_its_record(world: World) -> None:
    world.count("rye", together=[("wheat", 0.9, 9)], instead=[("wheat", 0.9, 9)])
    world.items.apply_catalogue({"wheat": None})
    world.intake.take_items([record("wheat", None)])
    for available in (True, False):
        assert "wheat" not in ids(world.near.similar("rye", 9, available_only=available))
        assert "wheat" not in ids(world.near.similar("rye", 9, available_only=available, category="bread"))
    assert world.near.bought_together("rye", 9) == []
    with pytest.raises(UnknownItemError, match="'wheat' is not in the catalogue"):
        world.near.similar("wheat", 3)
    world.say({"wheat": "bread wheat"})
    assert "wheat" not in ids(world.near.similar("rye", 9, available_only=False)), "its vector alone brings nobody back"
    world.items.apply_catalogue({"wheat": CatalogueItem("wheat", "Wheat", True, 100, {"department": "bread"})})
    world.intake.take_items([record("wheat", b"{}")])
    world.intake.take_embeddings([])
    assert ids(world.near.similar("rye", 9))[0] == "wheat"


def test_a_changed_text_moves_its_item(world: World) -> None:
    world.say({"green": "bread rye"})
    assert ids(world.near.similar("rye", 1, blend=0.0)) == ["green"]
    world.say({"green": None})
    assert "green" not in ids(world.near.similar("rye", 9, blend=0.0))


def test_vectors_of_two_encoders_are_never_compared(world: World) -> None:
    world.say({name: TEXTS[name] for name in ("rye", "pear")}, encoder="other")
    found = [each for each in world.near.similar("rye", 9, blend=0.0) if Why.TEXT in each.because]
    assert ids(found) == ["pear"]
    assert "pear" not in ids([each for each in world.near.similar("apple", 9) if Why.TEXT in each.because])


def test_bought_together_is_in_the_order_of_its_evidence(world: World) -> None:
    world.count("rye", together=[("green", 0.9, 9), ("ghost", 0.8, 9), ("rye", 0.7, 3), ("apple", 0.1, 50)])
    found = world.near.bought_together("rye", 9)
    assert [(each.item_id, each.together, each.score) for each in found] == [("green", 9, 0.9), ("apple", 50, 0.1)]
    assert len(world.near.bought_together("rye", 1)) == 1
    assert world.near.bought_together("apple", 9) == []


def test_an_unknown_item_is_an_error(world: World) -> None:
    for ask in (world.near.similar, world.near.bought_together):
        with pytest.raises(UnknownItemError, match="'nothing' is not in the catalogue"):
            ask("nothing", 3)


def test_a_shop_without_categories_says_so() -> None:
    items = ItemsTable(Shop(name="plain"))
    items.apply_catalogue({"a": CatalogueItem("a"), "b": CatalogueItem("b")})
    near = Neighbourhood(items, Intake(items.catalogue.row), lambda: TODAY)
    assert near.similar("a", 5) == []
    with pytest.raises(NoCategoryError):
        near.similar("a", 5, category="bread")


def test_answers_are_the_same_with_an_index_and_filters_find_all_there_is() -> None:
    """Beyond a few thousand texts FAISS answers; a narrow filter must still find what it lets through."""
    n, rng = 6000, np.random.default_rng(5)
    world = World(table({f"i{k}": ("bread" if k % 500 == 0 else "tea", k % 7) for k in range(n)}))
    base = rng.normal(size=(40, 32)).astype(np.float32)
    vectors = base[np.arange(n) % 40] + 0.3 * rng.normal(size=(n, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for start in range(0, n, 1000):
        rows = range(start, start + 1000)
        values = [encode(Embedding("e", k.to_bytes(16, "big"), vectors[k])) for k in rows]
        world.intake.take_embeddings(record(f"i{k}", value) for k, value in zip(rows, values, strict=True))
    exact = [ids(world.near.similar(f"i{k}", 10, blend=0.0)) for k in range(0, n, 101)]
    world.intake.index()
    assert world.intake.vectors.of["e"]._shown.indexed == n
    indexed = [ids(world.near.similar(f"i{k}", 10, blend=0.0)) for k in range(0, n, 101)]
    shares = [len({*a} & {*b}) / 10 for a, b in zip(exact, indexed, strict=True)]
    assert np.mean(shares) > 0.95
    assert len(world.near.similar("i1", 50, category="bread")) == 12
    assert all(Why.TEXT in each.because for each in world.near.similar("i1", 50, category="bread"))
    hidden = {f"i{k}": CatalogueItem(f"i{k}", "", False, 1, {"department": "tea"}) for k in range(n) if k % 500}
    world.items.apply_catalogue(hidden)
    assert set(ids(world.near.similar("i1", 12))) == {f"i{k}" for k in range(0, n, 500)}
