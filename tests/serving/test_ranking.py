"""The best come first, and equal scores always in the same order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.items_state import empty_items
from serving.ranking import top
from serving.trending import trending

DAY = 86_400_000_000


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**64 - 1)), unique_by=lambda t: t[1]), st.integers(1, 50))
def test_top_is_the_head_of_the_whole_order(pairs: list[tuple[int, int]], n: int) -> None:
    scores = np.array([score for score, _ in pairs], np.float32)
    keys = np.array([key for _, key in pairs], np.uint64)
    expected = sorted(range(len(pairs)), key=lambda place: (-pairs[place][0], pairs[place][1]))
    assert top(scores, keys, n).tolist() == expected[:n]


def test_trending_prefers_the_recent_to_the_many() -> None:
    states = empty_items(4)
    states["purchases"] = [50, 3, 3, 0]
    for row, (day, count) in enumerate([(100, 50), (160, 3), (160, 3)]):
        states["newest_day"][row] = day
        states["daily"][row, day % 64] = count
    keys = np.array([1, 9, 4, 2], np.uint64)
    assert trending(states, keys, 160 * DAY).order.tolist() == [2, 1, 0, 3]
    assert trending(states, keys, 100 * DAY + 5).order.tolist()[0] == 0
