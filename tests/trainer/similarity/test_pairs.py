"""Counts and expectations equal what plain loops over the baskets find."""

from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.purchases import DAY
from tests.trainer.similarity.shops import table
from trainer.similarity import pairs
from trainer.similarity.baskets import Baskets
from trainer.similarity.pairs import Pairs, blocks, instead, together
from trainer.similarity.reading import read

pytestmark = pytest.mark.trainer

BASKETS = st.lists(
    st.tuples(st.sampled_from("xyz"), st.integers(0, 30), st.text("abcdef", min_size=1, max_size=5)), min_size=1
)
KIND = {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1, "f": -1}


def words(baskets: Baskets) -> list[tuple[int, int, frozenset[str]]]:
    """Customer, time and items of each basket."""
    return [
        (int(c), int(t), frozenset(baskets.item_ids[item] for item in baskets.items[start:end]))
        for c, t, start, end in zip(baskets.customer, baskets.time, baskets.offsets, baskets.offsets[1:], strict=False)
    ]


def as_counts(found: Pairs, ids: list[str]) -> Counter:
    return Counter({(ids[a], ids[b]): int(c) for a, b, c in zip(found.anchor, found.partner, found.count, strict=True)})


@settings(deadline=None)
@given(BASKETS, st.integers(1, 3), st.integers(1, 40))
def test_together_counts_every_pair_of_every_basket(told, least, at_once):
    baskets = read([table(told)])
    held = Counter(item for _, _, items in words(baskets) for item in items)
    often = [frozenset(item for item in items if held[item] >= least) for _, _, items in words(baskets)]
    wanted = Counter(pair for items in often for pair in permutations(items, 2))
    beside = together(baskets, least)
    before, pairs.AT_ONCE = pairs.AT_ONCE, at_once
    try:
        turns = list(blocks(beside))
    finally:
        pairs.AT_ONCE = before
    assert np.concatenate(turns).tolist() == list(range(len(baskets.item_ids)))
    counted = [beside.of(anchors) for anchors in turns]
    assert sum((as_counts(block, baskets.item_ids) for block in counted), Counter()) == wanted
    places = Counter()
    for items in often:
        for item in items:
            places[item] += len(items) - 1
    every = sum(map(len, often))
    for block in counted:
        for a, b, expected in zip(block.anchor, block.partner, block.expected, strict=True):
            first, second = baskets.item_ids[a], baskets.item_ids[b]
            assert expected == pytest.approx(places[first] * held[second] / every)


@settings(deadline=None)
@given(BASKETS, st.integers(1, 3), st.integers(1, 30), st.integers(1, 40))
def test_instead_counts_who_left_and_who_came_the_next_time(told, least, days, at_once):
    baskets = read([table(told)])
    kind = np.array([KIND[each] for each in baskets.item_ids], np.int64)
    held = Counter(item for _, _, items in words(baskets) for item in items)
    wanted = Counter()
    for customer in set(baskets.customer.tolist()):
        for number in (0, 1):
            mine = [
                (t, part)
                for c, t, items in words(baskets)
                if c == customer and (part := {item for item in items if KIND[item] == number})
            ]
            for (then, had), (now, has) in pairwise(mine):
                if now - then <= days * DAY:
                    wanted.update((a, b) for a in had - has for b in has - had if min(held[a], held[b]) >= least)
    before, pairs.AT_ONCE = pairs.AT_ONCE, at_once
    try:
        found = instead(baskets, kind, least, days * DAY).of(np.arange(len(kind)))
    finally:
        pairs.AT_ONCE = before
    assert as_counts(found, baskets.item_ids) == wanted
    arrivals = Counter()
    for (_, b), count in wanted.items():
        arrivals[b] += count
    for a, b, expected in zip(found.anchor, found.partner, found.expected, strict=True):
        first, second = baskets.item_ids[a], baskets.item_ids[b]
        beside = sum(count for (other, _), count in wanted.items() if other == first)
        of_kind = sum(count for item, count in arrivals.items() if KIND[item] == KIND[second])
        assert expected == pytest.approx(beside * arrivals[second] / of_kind)


def test_an_item_without_a_kind_is_not_replaced():
    baskets = read([table([("ann", 1, "f"), ("ann", 2, "a")])])
    found = instead(baskets, np.full(len(baskets.item_ids), -1), 1, 9 * DAY)
    assert len(found.of(np.arange(len(baskets.item_ids)))) == 0
