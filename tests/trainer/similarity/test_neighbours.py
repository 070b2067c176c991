"""Neighbours: what chance explains is no evidence, and what everybody buys is not everybody's neighbour."""

import msgspec
import numpy as np
import pytest

from tests.trainer.similarity.shops import table
from trainer.similarity import pairs
from trainer.similarity.neighbours import Plan, lift, likelihood_ratio, neighbours, strength
from trainer.similarity.published import Published, digest
from trainer.similarity.reading import read

pytestmark = pytest.mark.trainer

PLAN = Plan(baskets=3, pairs=3)


def counted(told, kinds=None, unlisted="", plan=PLAN):
    """Neighbours by item of baskets given as (customer, day, items)."""
    baskets = read([table(told)])
    kind = np.array([(kinds or {}).get(each, -1) for each in baskets.item_ids], np.int64)
    listed = np.array([each not in unlisted for each in baskets.item_ids])
    return {each.item_id: each for each in neighbours(baskets, kind, listed, plan)}


def shop(seed=1, trips=600):
    """Bread comes with cheese; bananas with everything; d to m at random. Large baskets hold more of all."""
    rng = np.random.default_rng(seed)
    told = []
    for trip in range(trips):
        rest = [letter for letter in "defghijklm" if rng.random() < rng.choice([0.1, 0.5])]
        pair = ["b", "c"] if rng.random() < 0.15 else []
        banana = ["a"] if rng.random() < 0.6 else []
        told.append((f"c{trip % 50}", trip // 50, "".join(rest + pair + banana) or "d"))
    return told


def test_bread_goes_with_cheese_and_bananas_with_nothing_in_particular():
    found = counted(shop())
    assert [each.item_id for each in found["b"].together] == ["c"]
    assert [each.item_id for each in found["c"].together] == ["b"]
    near_all = [item for item, lists in found.items() if "a" in {each.item_id for each in lists.together}]
    assert near_all == []
    assert found["b"].together[0].baskets == sum("b" in items for _, _, items in shop())


def test_what_was_taken_instead_is_of_the_same_kind_and_by_its_share():
    told = [(f"c{k}", day, "pq"[day % 2]) for k in range(10) for day in range(4)]  # p, q, p, q
    told += [(f"d{k}", day, "pr"[day]) for k in range(5) for day in range(2)]
    told += [(f"e{k}", day, "ps"[day]) for k in range(9) for day in range(2)]
    told += [(f"f{k}", 9, "pq") for k in range(40)]  # both: nobody left one for the other
    found = counted(told, dict.fromkeys("pqr", 0) | {"s": 1})
    assert [each.item_id for each in found["q"].instead] == ["p"]
    first, second = found["p"].instead
    # Left for q twice by ten customers, for r once by five.
    assert (first.item_id, first.baskets, first.score) == ("q", 20, pytest.approx(20 / (25 + 5), abs=1e-4))
    assert (second.item_id, second.baskets, second.score) == ("r", 5, pytest.approx(5 / (25 + 5), abs=1e-4))
    assert "s" not in found or found["s"].instead == []


def test_what_the_catalogue_has_no_more_is_nobodys_neighbour():
    assert "c" in {each.item_id for each in counted(shop())["b"].together}
    found = counted(shop(), unlisted="c")
    assert "c" not in found
    assert "b" not in found


def test_no_baskets_no_neighbours():
    assert counted([], {}) == {}


def test_lift_is_drawn_towards_one_where_little_is_known():
    counts, expected = np.array([3, 300, 5, 1]), np.array([0.1, 10.0, 5.0, 4.0])
    rare, often, chance, less = lift(counts, expected, 5.0)
    assert rare < often < 30
    assert chance == 1.0
    assert less < 1
    strong = strength(lift(counts, expected, 5.0))
    assert strong[2] == strong[3] == 0
    assert 0 < strong[0] < strong[1] < 1


def test_the_likelihood_ratio_is_dunnings():
    ratio = likelihood_ratio(np.array([20, 10, 5]), np.array([10.0, 10.0, 10.0]))
    assert ratio[0] == pytest.approx(2 * (20 * np.log(2) - 10))
    assert ratio[1] == ratio[2] == 0


def test_how_many_items_are_counted_at_once_changes_nothing(monkeypatch):
    kinds = dict.fromkeys("defg", 0) | dict.fromkeys("hijklm", 1)
    whole = counted(shop(), kinds)
    assert any(each.instead for each in whole.values())
    monkeypatch.setattr(pairs, "AT_ONCE", 50)
    assert counted(shop(), kinds) == whole


def test_only_what_changed_is_published():
    found, published = counted(shop()), Published()
    assert all(published.differs(each) for each in found.values())
    published.update((name, digest(each)) for name, each in found.items())
    assert not any(published.differs(each) for each in found.values())
    item, value = next(iter(found.items()))
    assert not published.differs(msgspec.structs.replace(value, counted_until=value.counted_until + 9))
    assert published.differs(msgspec.structs.replace(value, baskets=value.baskets + 1))
    assert published.besides(set(found)) == set()
    assert published.besides(set(found) - {item}) == {item}
    published.update([], [item])
    assert published.differs(value)
    assert len(published) == len(found) - 1
