"""Trend scores: at once up, then down with the minutes, whatever the order of events."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.heat import heat
from feature_repo.items_state import (
    ITEM_STATE,
    SLOT,
    SLOTS,
    ItemDeltas,
    apply_deltas,
    empty_items,
    read_states,
    total,
)
from feature_repo.trends import trend_scores

MINUTE = 60_000_000
NOW = 5_000_000 * SLOT


def warmed(slots: dict[int, int]) -> np.ndarray:
    """One item's state with the given weights, so many slots before now."""
    at = NOW // SLOT - np.array(list(slots), dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    deltas = ItemDeltas(
        np.array([7], np.uint64), np.zeros((1, 5), np.int64), none, none, none,
        np.zeros(len(at), np.int64), at, np.array(list(slots.values()), dtype=np.int64),
    )  # fmt: skip
    return apply_deltas(empty_items(1), deltas)


def test_the_running_slot_counts_in_full_and_fades_by_the_time_constant():
    state = warmed({0: 10})
    assert trend_scores(state, NOW).tolist() == [10.0]
    assert trend_scores(state, NOW + SLOT - 1).tolist() == [10.0]
    assert trend_scores(state, NOW + 45 * MINUTE) == pytest.approx([10 / np.e])
    assert trend_scores(state, NOW + (SLOTS - 1) * SLOT) == pytest.approx([10 * np.exp(-155 / 45)])
    assert trend_scores(state, NOW + SLOTS * SLOT).tolist() == [0.0]
    assert trend_scores(state, NOW - 1).tolist() == [0.0]  # it lies ahead


def test_instants_may_differ_from_item_to_item():
    states = np.concatenate([warmed({0: 10, 3: 4}), warmed({1: 5}), empty_items(1)]).astype(ITEM_STATE)
    instants = np.array([NOW, NOW - SLOT, NOW])
    together = trend_scores(states, instants)
    assert together.tolist() == [float(trend_scores(states[i : i + 1], instants[i])[0]) for i in range(3)]
    assert together[0] == pytest.approx(10 + 4 * np.exp(-15 / 45))


EVENT = st.tuples(
    st.integers(1, 3),  # item
    st.integers(0, 7),  # type
    st.integers(0, 80),  # slots before now
    st.integers(-3, 3),  # arrival, slots later
)


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=40), st.randoms(), st.integers(1, 5), st.integers(0, 100))
def test_scores_are_sums_over_events_in_any_order_and_any_parts(rows, random, parts, later):
    """Events are dealt to sources at random and folded one by one in random order; then the sources are summed."""
    as_of = NOW + later * SLOT
    weights = [0, 1, 1, 3, 0, 5, 0, 0]
    slots = {item: [] for item in (1, 2, 3)}
    for item, kind, ago, delay in rows:
        if weights[kind]:
            slots[item].append((NOW // SLOT - ago + min(delay, 0), weights[kind]))
    expected = []
    for known in slots.values():
        newest = max((slot for slot, _ in known), default=0)
        ages = [((as_of // SLOT - slot), weight) for slot, weight in known if slot > newest - SLOTS]
        expected.append(sum(weight * np.exp(-age * 5 / 45) for age, weight in ages if 0 <= age < SLOTS))
    dealt: list[list] = [[] for _ in range(parts)]
    for row in random.sample(rows, len(rows)):
        random.choice(dealt).append(row)
    sources = [_folded(part) for part in dealt]
    stacked = np.concatenate([np.stack([source[item] for source in sources]).reshape(-1) for item in range(3)])
    summed = total(stacked, np.arange(4) * len(sources))
    np.testing.assert_allclose(trend_scores(summed, as_of), expected, rtol=1e-9)


def _folded(rows) -> np.ndarray:
    """ITEM_STATE of items 1, 2, 3 after the events, one at a time."""
    states = empty_items(3)
    none = np.zeros(0, dtype=np.int64)
    for item, kind, ago, delay in rows:
        time = NOW - ago * SLOT
        found = heat(np.array([item], np.uint64), np.array([kind], np.int8), np.array([time]),
                     np.array([time + delay * SLOT]))  # fmt: skip
        if len(found.items):
            deltas = ItemDeltas(found.items, np.zeros((1, 5), np.int64), none, none, none, *found[1:])
            states[item - 1 : item] = apply_deltas(states[item - 1 : item], deltas)
    return states


def test_states_of_another_layout_are_refused_by_name():
    with pytest.raises(ValueError, match=r"304 bytes, this version keeps 440: another version of Headwater"):
        read_states([bytes(440), bytes(304)])
    assert len(read_states([])) == 0
