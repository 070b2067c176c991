"""Items in process equal what their records say, however the records are cut into batches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.catalogue import CatalogueItem
from feature_repo.encoder import Encoder
from feature_repo.items_state import ITEM_STATE, total
from feature_repo.materialise import item_columns
from feature_repo.purchases import DAY
from serving.candidates import Rows
from serving.item_matrix import Columns, ItemMatrix
from serving.items_table import FeatureRecord, ItemsTable
from serving.trending import trending
from tests.serving.shop import DEPARTMENTS, SHOP, TODAY, encoder_spec, item_state, items_table

RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["0", "1", "backfill"]),
        st.integers(0, 8),
        st.one_of(st.none(), st.tuples(st.integers(TODAY - 90, TODAY), st.integers(1, 50))),
    ),
    max_size=40,
)


def records(drawn: list[tuple[str, int, tuple[int, int] | None]]) -> list[FeatureRecord]:
    return [
        FeatureRecord(source, f"i{item}", None if state is None else item_state(*state))
        for source, item, state in drawn
    ]


@given(RECORDS, st.lists(st.integers(0, 40), max_size=4))
def test_totals_are_the_sums_of_the_latest_parts(
    drawn: list[tuple[str, int, tuple[int, int] | None]], cuts: list[int]
) -> None:
    every = records(drawn)
    table = ItemsTable(SHOP)
    bounds = [0, *sorted(cuts), len(every)]
    for start, end in pairwise(bounds):
        table.apply_features(every[start:end])
    latest = {(record.source, record.item_id): record.state for record in every}
    for row, item_id in enumerate(table.catalogue.item_ids):
        parts = [state for (_, item), state in latest.items() if item == item_id and state is not None]
        stacked = np.frombuffer(b"".join(parts), ITEM_STATE)
        assert table.states[row] == total(stacked, np.array([0, len(parts)]))[0]


@given(RECORDS, RECORDS)
def test_matrices_and_trending_follow_changes(
    first: list[tuple[str, int, tuple[int, int] | None]], then: list[tuple[str, int, tuple[int, int] | None]]
) -> None:
    table = ItemsTable(SHOP)
    table.apply_features(records(first))
    encoder = Encoder(encoder_spec([f"i{k}" for k in range(6)]))
    matrix = table.matrix(encoder)
    rows = np.arange(len(table.catalogue))
    days = (TODAY, TODAY - 30)
    for day in days:
        matrix.gather(day, rows[::2])
        table.trending(day)
    table.apply_features(records(then))
    table.apply_catalogue({"i3": CatalogueItem("i3", "Tea", True, 99, {"department": "tea"}), "i4": None})
    table.refresh_trending()
    for day in days:
        rows = np.arange(len(table.catalogue))
        expected_columns = item_columns(SHOP, table.states, table.catalogue, day * DAY)
        for held, wanted in zip(matrix.gather(day, rows), encoder.encode(expected_columns, "item"), strict=True):
            np.testing.assert_array_equal(held, wanted)
        expected = trending(table.states, table.catalogue.keys, day * DAY)
        np.testing.assert_array_equal(table.trending(day).order, expected.order)
        np.testing.assert_allclose(table.trending(day).weights, expected.weights, rtol=1e-12)


def test_only_the_last_few_days_are_kept() -> None:
    table = items_table(5)
    matrix = table.matrix(Encoder(encoder_spec(["i0"])))
    for day in range(TODAY, TODAY + 6):
        matrix.gather(day, np.array([day % 5]))
        matrix.gather(TODAY, np.array([1]))
    assert matrix.days == [TODAY + 4, TODAY + 5, TODAY]


def test_filling_goes_on_where_it_stopped() -> None:
    table = items_table(10)
    asked: list[int] = []
    encoder = Encoder(encoder_spec(["i0"]))

    def columns_of(day: int, rows: Rows) -> Columns:
        asked.extend(rows.tolist())
        return item_columns(SHOP, table.states[rows], table.catalogue, day * DAY, rows)

    matrix = ItemMatrix(encoder, columns_of, table.lock)
    matrix.gather(TODAY, np.array([3, 7]))
    assert [matrix.fill(TODAY, 10, 3) for _ in range(4)] == [False, False, True, True]
    matrix.gather(TODAY, np.arange(10))
    assert sorted(asked) == list(range(10))


def test_a_new_day_has_the_last_ones_trend_until_it_is_asked_for() -> None:
    table = items_table(4)
    today = table.trending(TODAY)
    assert table.trending(TODAY + 1, exact=False) is today
    tomorrow = table.trending(TODAY + 1)
    assert tomorrow is not today
    assert table.trending(TODAY + 1, exact=False) is tomorrow
    assert table.trending(TODAY - 1, exact=False) is not today


def test_other_days_do_not_drive_the_present_one_out() -> None:
    table = items_table(4)
    today = table.trending(TODAY)
    assert table.trending(TODAY, exact=False) is today
    for day in range(TODAY - 9, TODAY):
        table.trending(day)
    assert table.trending(TODAY, exact=False) is today
    assert table.trending(TODAY - 1) is table.trending(TODAY - 1)


def test_the_streams_clock_is_the_newest_event_told() -> None:
    table = ItemsTable(SHOP)
    assert table.newest_event_at == 0
    table.apply_features([FeatureRecord("0", "i1", item_state(TODAY, 1))])
    assert table.newest_event_at == TODAY * DAY
    table.apply_features([FeatureRecord("0", "i2", item_state(TODAY - 4, 1))], newest_event_at=TODAY * DAY + 17)
    assert table.newest_event_at == TODAY * DAY + 17


def test_what_changes_while_a_day_is_ordered_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    table = items_table(6)
    monkeypatch.setattr("serving.items_table.trending", lambda *given: (change(), trending(*given))[1])

    def change() -> None:
        table.apply_features([FeatureRecord("1", "i2", item_state(TODAY, 900))])

    assert table.trending(TODAY).order[0] == 5
    table.refresh_trending()
    assert table.trending(TODAY).order[0] == 2


def test_an_empty_shop_has_an_empty_trend() -> None:
    assert len(ItemsTable(SHOP).trending(TODAY).order) == 0


def test_an_item_deleted_before_it_was_seen_is_not_available() -> None:
    table = ItemsTable(SHOP)
    table.apply_catalogue({"gone": None})
    table.apply_features([FeatureRecord("0", name, item_state(TODAY, 1)) for name in ("gone", "new")])
    assert dict(zip(table.catalogue.item_ids, table.catalogue.available.tolist(), strict=True)) == {
        "gone": False,
        "new": True,
    }
    assert table.without_record(0, 2) == ["new"]


def test_a_withdrawn_item_keeps_its_row_and_comes_back() -> None:
    table = items_table(3)
    table.apply_catalogue({"i1": None})
    assert table.catalogue.available.tolist() == [True, False, True]
    table.apply_catalogue({"i1": CatalogueItem("i1", "again", True, 5, {"department": DEPARTMENTS[0]})})
    assert table.catalogue.row("i1") == 1
    assert table.catalogue.available.all()
