"""Merging keeps every source's best, marks who proposed what, and never exceeds the limits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.candidates import Limits, Source, merge

LISTS = st.dictionaries(
    st.sampled_from(list(Source)), st.lists(st.integers(0, 40), unique=True, max_size=30), max_size=len(Source)
)
LIMITS = st.builds(Limits, *([st.integers(1, 20)] * len(Source)), total=st.integers(1, 60))


@given(LISTS, LIMITS)
def test_candidates_are_distinct_proposals_within_the_limits(lists: dict[Source, list[int]], limits: Limits) -> None:
    kept = {source: rows[: limits.of(source)] for source, rows in lists.items()}
    merged = merge({source: np.array(rows, np.int64) for source, rows in lists.items()}, limits)
    proposed = set().union(*map(set, kept.values()))
    assert len(merged.rows) == min(limits.total, len(proposed))
    assert sorted(set(merged.rows.tolist())) == merged.rows.tolist()
    for row, mask in zip(merged.rows.tolist(), merged.sources.tolist(), strict=True):
        assert mask == sum(source for source, rows in kept.items() if row in rows)
        assert mask


@given(LISTS, LIMITS)
def test_the_best_of_each_source_stay(lists: dict[Source, list[int]], limits: Limits) -> None:
    """With room for one of each, the first of every list is a candidate."""
    limits = limits._replace(total=max(len(Source), limits.total))
    merged = merge({source: np.array(rows, np.int64) for source, rows in lists.items()}, limits)
    assert {rows[0] for rows in lists.values() if rows} <= set(merged.rows.tolist())


def test_sources_give_way_in_proportion() -> None:
    lists = {
        Source.HISTORY: np.arange(0, 400),
        Source.TWO_TOWER: np.arange(1000, 1100),
        Source.TRENDING: np.arange(2000, 2100),
    }
    merged = merge(lists)
    shares = [int((merged.sources == source).sum()) for source in lists]
    assert sum(shares) == 500
    assert np.allclose(np.array(shares) / [400, 100, 100], 5 / 6, atol=0.01)
