"""The cut: what lies on which side of it, and that nothing crosses."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.evaluation.protocol import DAY, default_cut, purchases_of, split

ROW = st.tuples(st.sampled_from("abc"), st.sampled_from("uvwxyz"), st.integers(0, 60))


def table(rows, kinds=None) -> pa.Table:
    return pa.table(
        {
            "customer_id": pa.array([row[0] for row in rows], pa.string()),
            "item_id": pa.array([row[1] for row in rows], pa.string()),
            "type": pa.array(kinds or ["purchase"] * len(rows), pa.string()),
            "time": pa.array([row[2] * DAY for row in rows], pa.int64()),
        }
    )


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=60), st.integers(0, 60))
def test_both_sides_equal_sets_made_by_hand(rows, day):
    past = {c: {i for who, i, t in rows if who == c and t <= day} for c in "abc"}
    later = {c: {i for who, i, t in rows if who == c and day < t <= day + 20} for c in "abc"}
    truth = {c: items for c, items in later.items() if items and past[c]}
    purchases = purchases_of(table(rows))
    if not truth:
        with pytest.raises(ValueError, match="choose a cut inside the data"):
            split(purchases, day * DAY)
        return
    parts = split(purchases, day * DAY)
    assert parts.truth == truth
    assert parts.novel_truth == {c: items - past[c] for c, items in truth.items() if items - past[c]}
    assert parts.past.by_customer() == {c: items for c, items in past.items() if items}
    assert len(parts.past) == sum(t <= day for *_, t in rows)


def test_the_default_cut_is_twenty_days_before_the_end():
    purchases = purchases_of(table([("a", "u", 1), ("a", "v", 100)]))
    assert default_cut(purchases) == 80 * DAY
    assert default_cut(purchases, sooner_days=60) == 20 * DAY
    with pytest.raises(ValueError, match="no purchases"):
        default_cut(purchases_of(table([])))


def test_only_purchases_count():
    purchases = purchases_of(table([("a", "u", 1), ("a", "v", 2)], ["view", "purchase"]))
    assert purchases.items == ["v"]


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=40), st.lists(ROW, max_size=40))
def test_the_past_does_not_change_with_what_comes_after(before, after):
    """The cut is known; whatever happens later, what may be learned from stays byte for byte the same."""
    cut = 60 * DAY
    later = [(c, i + "!", t + 61) for c, i, t in after]
    alone, together = (purchases_of(table(rows)).between(None, cut) for rows in (before, before + later))
    assert (alone.customers, alone.items) == (together.customers, together.items)
    for name in ("customer", "item", "time"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(together, name))
