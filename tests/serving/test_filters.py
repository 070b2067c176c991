"""An answer holds only what is available, wanted and not excluded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.catalogue import Catalogue, CatalogueItem
from serving.filters import FilterError, build


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    catalogue = Catalogue(("department",))
    catalogue.upsert(
        CatalogueItem(f"i{n}", available=n % 5 != 0, attributes={"department": "abc"[n % 3]}) for n in range(1000)
    )
    return catalogue


@given(
    excluded=st.sets(st.integers(0, 1200)),
    purchased=st.lists(st.integers(0, 999)),
    categories=st.sets(st.sampled_from("abcd")),
    limit=st.integers(1, 400),
    seed=st.integers(0, 100),
)
def test_the_first_allowed_are_what_a_loop_finds(
    catalogue: Catalogue, excluded: set[int], purchased: list[int], categories: set[str], limit: int, seed: int
) -> None:
    chosen = build(catalogue, "department", [f"i{n}" for n in excluded], categories, np.array(purchased, np.int64))
    order = np.random.default_rng(seed).permutation(1000)
    expected = [
        n
        for n in order.tolist()
        if n % 5 and n not in excluded and n not in purchased and (not categories or "abc"[n % 3] in categories)
    ]
    assert chosen.first(order, catalogue, limit).tolist() == expected[:limit]


def test_a_shop_without_categories_says_so(catalogue: Catalogue) -> None:
    with pytest.raises(FilterError, match="names no category"):
        build(catalogue, "", categories=["a"])


def test_nothing_is_allowed_of_an_unknown_category(catalogue: Catalogue) -> None:
    chosen = build(catalogue, "department", categories=["nowhere"])
    assert len(chosen.first(np.arange(1000), catalogue, 10)) == 0
