"""What a session proposes: what was looked at, latest first, then the best of the same categories."""

from __future__ import annotations

import numpy as np

from feature_repo.customer_state import RECENT, EventType
from feature_repo.histories import Histories
from feature_repo.items_state import empty_items
from feature_repo.keys import item_key
from feature_repo.purchases import DAY, PURCHASE
from feature_repo.sessions import Sessions, sessions
from serving.session_items import session_items
from serving.trending import trending
from tests.serving.shop import SHOP, TODAY, items_table

MINUTE = 60_000_000
NOW = TODAY * DAY
TABLE = items_table(30)  # of three departments in turn; the higher the number, the more was bought
LIST = TABLE.trending(TODAY)
CATEGORIES = TABLE.catalogue.attribute(SHOP.category)


def found(*acts: tuple[int, EventType, float]) -> Sessions:
    """One customer's session of (item, type, minutes before now)."""
    looks = [act for act in acts if act[1] is not EventType.PURCHASE]
    recent, lines = np.zeros(len(looks), RECENT), np.zeros(len(acts) - len(looks), PURCHASE)
    for place, (item, kind, minutes) in enumerate(sorted(looks, key=lambda act: -act[2])):
        recent[place] = (NOW - int(minutes * MINUTE), item_key(f"i{item}"), kind, 1.0)
    for place, (item, _, minutes) in enumerate(act for act in acts if act[1] is EventType.PURCHASE):
        lines[place] = (NOW - int(minutes * MINUTE), item_key(f"i{item}"), 1, 100)
    histories = Histories(lines, np.array([0, len(lines)]), recent, np.array([0, len(recent)]))
    return sessions(histories, TABLE.catalogue, np.array([NOW]))


VIEW, ADD, BUY = EventType.VIEW, EventType.ADD_TO_CART, EventType.PURCHASE


def test_the_latest_look_comes_first_and_what_was_bought_is_left_out() -> None:
    session = found((3, VIEW, 9), (4, ADD, 5), (5, VIEW, 7), (3, VIEW, 1), (6, VIEW, 8), (6, BUY, 2), (7, BUY, 3))
    assert session_items(session, 0, LIST, None, 60).tolist() == [3, 4, 5]
    assert session_items(session, 0, LIST, None, 2).tolist() == [3, 4]
    again = found((6, BUY, 4), (6, VIEW, 2))
    assert session_items(again, 0, LIST, None, 60).tolist() == [6]


def test_behind_them_come_the_best_of_their_categories() -> None:
    proposed = session_items(found((3, VIEW, 9), (4, VIEW, 5)), 0, LIST, CATEGORIES, 8).tolist()
    assert proposed == [4, 3, 28, 25, 22, 27, 24, 21]
    few = session_items(found((29, VIEW, 1)), 0, LIST, CATEGORIES, 60).tolist()
    assert few == list(range(29, 0, -3))  # the whole department, the item itself once


def test_without_a_session_nothing_is_proposed() -> None:
    assert session_items(found(), 0, LIST, CATEGORIES, 60).tolist() == []
    assert session_items(found((3, VIEW, 31)), 0, LIST, CATEGORIES, 60).tolist() == []


def test_shelves_hold_the_trending_order() -> None:
    for code in (1, 2, 3):
        expected = [row for row in LIST.order.tolist() if CATEGORIES[row] == code]
        assert LIST.best_of(code, 100).tolist() == expected
        assert LIST.best_of(code, 2).tolist() == expected[:2]
    assert LIST.best_of(99, 5).tolist() == []
    bare = trending(empty_items(3), np.arange(3, dtype=np.uint64), NOW)
    assert bare.best_of(0, 5).tolist() == []
