"""Places kept for what is new."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.novelty import reserved, with_novel


def chosen(novel: str, n: int, least: int) -> list[int]:
    return with_novel(np.array([each == "n" for each in novel], np.bool_), n, least).tolist()


def test_the_best_stay_where_enough_are_new() -> None:
    assert chosen("nkkk", 3, 1) == [0, 1, 2]
    assert chosen("kkkk", 3, 0) == [0, 1, 2]


def test_the_last_known_ones_make_room() -> None:
    assert chosen("kkkknn", 4, 1) == [0, 1, 2, 4]
    assert chosen("kkknknn", 4, 3) == [0, 3, 5, 6]
    assert chosen("kknn", 2, 2) == [2, 3]


def test_where_too_few_are_new_the_rest_are_known() -> None:
    assert chosen("kkkkn", 3, 3) == [0, 1, 4]
    assert chosen("kk", 3, 3) == [0, 1]
    assert chosen("", 3, 3) == []


@pytest.mark.parametrize(("n", "novelty", "places"), [(10, 0.3, 3), (10, 0.31, 4), (10, 1, 10), (7, 0, 0), (3, 0.1, 1)])
def test_the_share_is_the_least(n: int, novelty: float, places: int) -> None:
    assert reserved(n, novelty) == places


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 12), st.integers(0, 12))
def test_any_list_is_filled_in_order(novel: list[bool], n: int, least: int) -> None:
    least = min(least, n)
    found = with_novel(np.array(novel, np.bool_), n, least).tolist()
    assert found == sorted(set(found))
    assert len(found) == min(n, len(novel))
    assert sum(novel[place] for place in found) >= min(least, sum(novel), len(found))
    known = [place for place in found if not novel[place]]
    assert known == [place for place in range(len(novel)) if not novel[place]][: len(known)]
