"""A visitor's row is the one that the stream would have made of the same events."""

from __future__ import annotations

import numpy as np

from feature_repo.customer_state import RECENT, EventType
from feature_repo.keys import item_key
from feature_repo.purchases import PURCHASE
from serving.customers import joined
from serving.visitors import SPACING, Did, visitors
from streams.contracts.events import InteractionType as Type
from tests.serving.shop import SHOP, TODAY, customers, items_table

NOW = TODAY * 86_400_000_000


def test_events_become_lines_and_looks_in_their_order() -> None:
    items = items_table(5)
    visit = (Did("i1", Type.VIEW), Did("i2", Type.PURCHASE, quantity=3), Did("i3", Type.ADD_TO_CART))
    found = visitors([visit], ["anonymous"], [NOW], SHOP, items.catalogue)
    lines, recent = found.histories.lines, found.histories.recent
    assert (lines.dtype, recent.dtype) == (PURCHASE, RECENT)
    assert (lines["time"].tolist(), lines["quantity"].tolist()) == ([NOW - SPACING], [3])
    assert recent["time"].tolist() == [NOW - 2 * SPACING, NOW]
    assert recent["item"].tolist() == [item_key("i1"), item_key("i3")]
    assert recent["type"].tolist() == [EventType.VIEW, EventType.ADD_TO_CART]
    assert found.complete.all()
    assert found.features["most_purchased_department"].tolist() == ["tea"]


def test_times_that_are_told_win() -> None:
    visit = (Did("i1", Type.VIEW, NOW - 500), Did("i2", Type.VIEW))
    found = visitors([visit], [""], [NOW], SHOP, items_table(5).catalogue)
    assert found.histories.recent["time"].tolist() == [NOW - 500, NOW]


def test_several_visitors_keep_apart_also_those_who_did_nothing() -> None:
    visits = [(Did("i1", Type.VIEW),), (), (Did("i1", Type.VIEW), Did("i1", Type.VIEW))]
    found = visitors(visits, ["a", "b", "c"], [NOW, NOW, NOW + 7], SHOP, items_table(5).catalogue)
    assert np.diff(found.histories.recent_offsets).tolist() == [1, 0, 2]
    assert found.last_event_at.tolist() == [NOW, 0, NOW + 7]


def test_customers_and_visitors_stand_in_one_row_in_any_order() -> None:
    catalogue = items_table(9).catalogue
    known = customers({"ann": ["i1", "i2"], "bob": ["i3"]}, catalogue, unknown=["nobody"])
    visiting = visitors([(Did("i4", Type.VIEW),)], ["anonymous"], [NOW], SHOP, catalogue)
    together = joined([visiting, known]).take(np.array([1, 0, 3, 2]))
    assert list(together.ids) == ["ann", "anonymous", "nobody", "bob"]
    assert together.complete.tolist() == [True, True, False, True]
    h = together.histories
    assert np.diff(h.offsets).tolist() == [2, 0, 0, 1]
    assert np.diff(h.recent_offsets).tolist() == [0, 1, 0, 0]
    assert h.recent["item"].tolist() == [item_key("i4")]
    assert set(together.features) == set(known.features)
