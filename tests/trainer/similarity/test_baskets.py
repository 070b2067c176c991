"""Baskets are what one customer bought in one session, or on one day."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.similarity.shops import table
from trainer.similarity.baskets import Baskets, groups
from trainer.similarity.reading import read

pytestmark = pytest.mark.trainer


def read_all(whole: pa.Table) -> Baskets:
    return read([whole])


def told(baskets: Baskets) -> list[str]:
    """Each basket's items as a word."""
    return [
        "".join(sorted(baskets.item_ids[item] for item in baskets.items[start:end]))
        for start, end in zip(baskets.offsets, baskets.offsets[1:], strict=False)
    ]


def test_a_session_is_a_basket_with_each_item_once():
    found = read_all(table([("ann", 1, "aab"), ("bob", 1, "ab"), ("ann", 0, "c"), ("ann", 1, "d")]))
    assert told(found) == ["c", "ab", "d", "ab"]
    assert found.customer.tolist() == [0, 0, 0, 1]
    assert (np.diff(found.time[:3]) > 0).all()
    assert dict(zip(found.item_ids, found.counts.tolist(), strict=True)) == {"a": 2, "b": 2, "c": 1, "d": 1}


def test_without_sessions_a_day_is_a_basket():
    found = read_all(table([("ann", 1, "ab"), ("ann", 1, "c"), ("ann", 2, "d"), ("bob", 2, "e")], sessions=False))
    assert told(found) == ["abc", "d", "e"]


def test_sessions_and_days_may_be_mixed():
    mixed = pa.concat_tables([table([("ann", 1, "ab")]), table([("ann", 1, "cd")], sessions=False, first=1)])
    assert sorted(told(read_all(mixed))) == ["ab", "cd"]


def test_only_purchases_count_and_huge_baskets_do_not():
    bought, seen = table([("ann", 1, "ab"), ("bob", 1, "abcdef")]), table([("ann", 1, "xy")], kind="view", first=9)
    found = read([bought, seen], largest=5)
    assert told(found) == ["ab"]
    assert "x" not in found.item_ids


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 3), st.text("abcd", min_size=1, max_size=4)), min_size=1),
    st.integers(1, 7), st.booleans(), st.randoms(use_true_random=False),
)  # fmt: skip
def test_how_purchases_are_spread_over_tables_changes_nothing(told_baskets, rows, sessions, random):
    whole = table(told_baskets, sessions=sessions)
    order = list(range(whole.num_rows))
    random.shuffle(order)
    shuffled = whole.take(order)
    pieces = [shuffled.slice(start, rows) for start in range(0, whole.num_rows, rows)]
    one, many = read([whole]), read(pieces)
    assert as_sets(many) == as_sets(one)
    assert sorted(zip(many.customer, many.time, strict=True)) == list(zip(many.customer, many.time, strict=True))


def as_sets(baskets: Baskets) -> list[tuple[int, frozenset[str]]]:
    """Time and items of each basket."""
    spans = zip(baskets.time.tolist(), baskets.offsets, baskets.offsets[1:], strict=False)
    return sorted((at, frozenset(baskets.item_ids[i] for i in baskets.items[a:b])) for at, a, b in spans)


def test_no_purchases_no_baskets():
    found = read_all(table([("ann", 1, "ab")], kind="view"))
    assert (len(found), found.item_ids) == (0, [])


def test_a_basket_falls_apart_into_its_kinds():
    found = read_all(table([("ann", 1, "abc"), ("ann", 2, "ac"), ("bob", 1, "bc")]))
    kind = np.array([{"a": 0, "b": 0, "c": 1}[each] for each in found.item_ids])
    parts, kinds = groups(found, kind)
    assert told(parts) == ["ab", "a", "c", "c", "b", "c"]
    assert kinds.tolist() == [0, 0, 1, 1, 0, 1]
    assert parts.customer.tolist() == [0, 0, 0, 0, 1, 1]
