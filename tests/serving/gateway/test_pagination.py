import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.pagination import from_cursor, to_cursor
from serving.gateway.problems import Problem


@given(st.text())
def test_a_cursor_leads_back_to_its_place_and_fits_into_a_url(place: str) -> None:
    cursor = to_cursor(place)
    assert from_cursor(cursor, str) == place
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(st.text())
def test_whatever_else_is_refused(cursor: str) -> None:
    """Whatever comes of a text, it is a place or a problem."""
    with contextlib.suppress(Problem):
        place = from_cursor(cursor, tuple[int, int])
        assert from_cursor(to_cursor(place), tuple[int, int]) == place


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(Problem, match="begin without one"):
        from_cursor(to_cursor([0, 17]), str)
