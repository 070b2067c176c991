"""What is hot is as the stream told it, whatever changed since the last look; a new slot keeps nobody waiting."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.encoder import Encoder
from feature_repo.items_state import SLOT, empty_items
from feature_repo.purchases import DAY
from serving.candidates import Source, alternating
from serving.hot_items import hot
from serving.items_table import FeatureRecord, ItemsTable
from tests.serving.shop import SHOP, TODAY, encoder_spec, items_table

NOW = TODAY * DAY // SLOT


def looked_at(weight: int, ago: int = 0) -> bytes:
    """ITEM_STATE of an item that was looked at in one slot and never bought."""
    state = empty_items(1)
    state["hot_slot"] = NOW - ago
    state["hot"][0, (NOW - ago) % 32] = weight
    return state.tobytes()


RECORD = st.tuples(st.sampled_from("01"), st.integers(0, 5), st.integers(0, 3), st.integers(0, 40))


def records(rows: list[tuple[str, int, int, int]]) -> list[FeatureRecord]:
    return [FeatureRecord(source, f"i{item}", looked_at(weight, ago)) for source, item, weight, ago in rows]


@settings(deadline=None)
@given(st.lists(RECORD, max_size=12), st.lists(RECORD, max_size=12), st.integers(0, 8))
def test_refreshing_is_ordering_anew(first: list, then: list, later: int) -> None:
    table = ItemsTable(SHOP)
    table.apply_features(records(first))
    slots = (NOW, NOW + later)
    for slot in slots:
        table.hot(slot)
    table.apply_features(records(then))
    table.refresh_hot()
    for slot in slots:
        expected = hot(table.states, table.catalogue.keys, slot * SLOT)
        np.testing.assert_array_equal(table.hot(slot).order, expected.order)
        np.testing.assert_array_equal(table.hot(slot).scores, expected.scores)
        assert (table.hot(slot).scores[expected.order] > 0).all()


def test_a_new_slot_has_the_last_ones_order_until_it_is_refreshed() -> None:
    table = items_table(4)
    now = table.hot(NOW, exact=False)
    assert table.hot(NOW + 1, exact=False) is now
    table.refresh_hot()
    assert table.hot(NOW + 1, exact=False) is not now
    assert table.hot(NOW + 3, exact=False) is not table.hot(NOW + 1)  # older than that is not now any more


def test_other_instants_do_not_push_out_the_present() -> None:
    table = items_table(4)
    now = table.hot(NOW, exact=False)
    for slot in range(NOW - 10, NOW):
        table.hot(slot)
    assert table.hot(NOW, exact=False) is now


def test_items_that_came_since_have_no_score() -> None:
    table = items_table(3)
    table.apply_features([FeatureRecord("0", "i1", looked_at(4))])
    found = table.hot(NOW)
    assert found.of(np.array([0, 1, 2, 3, 90])).tolist() == [0, 4, 0, 0, 0]
    assert hot(empty_items(0), np.zeros(0, np.uint64), 0).of(np.array([5])).tolist() == [0]


def test_looks_leave_item_columns_and_the_trending_list_alone() -> None:
    """They are about what sells; encoding them anew for every view would cost more than all the rest."""
    table = items_table(6)
    encoder = Encoder(encoder_spec([f"i{k}" for k in range(6)]))
    refreshed: list[int] = []
    matrix = table.matrix(encoder)
    matrix.gather(TODAY, np.arange(6))
    matrix.refresh = lambda rows: refreshed.extend(rows.tolist())  # type: ignore[method-assign]
    before = table.trending(TODAY)
    table.apply_features([FeatureRecord("1", "i2", looked_at(3))])
    table.refresh_trending()
    assert table.trending(TODAY) is before
    assert refreshed == []
    bought = np.frombuffer(looked_at(3), empty_items(1).dtype).copy()
    bought["purchases"] = 1
    table.apply_features([FeatureRecord("1", "i2", bought.tobytes())])
    assert refreshed == [2]


def test_the_streams_clock_moves_with_every_look() -> None:
    table = ItemsTable(SHOP)
    table.apply_features([FeatureRecord("0", "i1", looked_at(1, ago=3))])
    assert table.newest_event_at == (NOW - 3) * SLOT


def test_hot_and_trending_take_turns() -> None:
    rows, sources = alternating(np.array([7, 8, 9]), np.array([1, 7, 2, 3, 4]), 5)
    assert rows.tolist() == [7, 1, 8, 9, 2]
    both = Source.HOT | Source.TRENDING
    assert sources.tolist() == [both, Source.TRENDING, Source.HOT, Source.HOT, Source.TRENDING]
    nothing = np.zeros(0, np.int64)
    assert alternating(nothing, np.array([3, 1]), 5).rows.tolist() == [3, 1]
    assert len(alternating(nothing, nothing, 5).rows) == 0
