"""Sessions: where they begin, what is in them, and that neither order nor batches matter."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.catalogue import Catalogue, CatalogueItem
from feature_repo.customer_state import CustomerStates, EventType, Limits
from feature_repo.events import Events
from feature_repo.fold import fold
from feature_repo.histories import histories_of
from feature_repo.keys import item_key
from feature_repo.sessions import Sessions, session_columns, session_pair_columns, sessions

MINUTE = 60_000_000
NOW = 20_000 * 24 * 60 * MINUTE
VIEW, CLICK, ADD, REMOVE = EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.REMOVE_FROM_CART
BUY, RETURN, RATE, SHOWN = EventType.PURCHASE, EventType.RETURN, EventType.RATING, EventType.IMPRESSION
SHELVES = {"milk": "dairy", "cheese": "dairy", "tea": "drinks", "rope": ""}
CATALOGUE = Catalogue(("aisle",))
CATALOGUE.upsert(CatalogueItem(name, attributes={"aisle": aisle}) for name, aisle in SHELVES.items())
ROWS = list(SHELVES)


def events(rows) -> Events:
    """Of (customer, item, type, minutes before now, units)."""
    n = len(rows)
    units = np.array([row[4] if len(row) > 4 else 1 for row in rows], dtype=np.int32)
    return Events(
        customer=np.array([row[0] for row in rows], dtype=np.int64),
        item=np.array([item_key(row[1]) for row in rows], dtype=np.uint64),
        event=np.array([hash(row) % 2**63 for row in rows], dtype=np.uint64) if n else np.zeros(0, np.uint64),
        type=np.array([row[2] for row in rows], dtype=np.int8),
        time=np.array([NOW - round(row[3] * MINUTE) for row in rows], dtype=np.int64),
        quantity=units, amount=np.full(n, 100, dtype=np.int32), weight=units.astype(np.float32),
        arrival=np.full(n, NOW, dtype=np.int64), offset=np.arange(n, dtype=np.int64),
    )  # fmt: skip


def of(*rows, customers: int = 1) -> Sessions:
    states = fold(CustomerStates.empty(customers), events([(0, *row) for row in rows])).states
    return sessions(histories_of(states), CATALOGUE, np.full(customers, NOW))


def pairs(found: Sessions) -> dict[str, dict[str, float]]:
    """The first customer's pair columns by item."""
    rows = np.arange(len(ROWS))
    columns = session_pair_columns(found, np.zeros(len(ROWS), np.int64), rows, CATALOGUE, "aisle")
    return {name: dict(zip(ROWS, values.tolist(), strict=True)) for name, values in columns.items()}


@pytest.mark.parametrize(
    ("minutes", "counted"),
    [
        ([], 0),
        ([0], 1),
        ([30], 1),
        ([30.1], 0),  # over before now
        ([1, 31, 61, 91], 4),
        ([1, 31, 61.1, 91], 2),  # a pause of more than half an hour in between
        ([-0.1], 0),  # later than now
        ([-5, 10], 1),
        ([29 * k for k in range(60)], 50),  # a day at most
    ],
)
def test_a_session_goes_back_to_the_last_pause(minutes, counted):
    found = of(*(("milk", VIEW, minute) for minute in minutes))
    assert found.events.tolist() == [counted]
    inside = sorted(minute for minute in minutes if minute >= 0)[:counted]
    columns = session_columns(found, NOW)
    assert columns["session_events"].tolist() == [counted]
    assert columns["session_minutes"].tolist() == pytest.approx([max(inside, default=0.0)])
    assert pairs(found)["session_views"]["milk"] == counted


def test_purchases_and_returns_keep_a_session_going():
    assert of(("milk", VIEW, 40), ("tea", BUY, 20), ("tea", RETURN, 15)).events.tolist() == [3]
    assert of(("milk", VIEW, 40), ("tea", SHOWN, 20)).events.tolist() == [0]  # nobody clicked on an impression


def test_views_are_counted_by_item_and_category():
    found = pairs(of(("milk", VIEW, 3), ("milk", CLICK, 2), ("cheese", VIEW, 1), ("rope", VIEW, 1), ("tea", RATE, 1)))
    assert found["session_views"] == {"milk": 2, "cheese": 1, "rope": 1, "tea": 0}
    assert found["session_category_views"] == {"milk": 3, "cheese": 3, "rope": 0, "tea": 0}  # rope stands in no aisle
    assert set(found["session_in_cart"].values()) == {0.0}


@pytest.mark.parametrize(
    ("acts", "in_cart"),
    [
        ([("milk", ADD, 5)], True),
        ([("milk", ADD, 5), ("milk", REMOVE, 4)], False),
        ([("milk", ADD, 5, 3), ("milk", REMOVE, 4, 2)], True),
        ([("milk", ADD, 5), ("milk", BUY, 3)], False),
        ([("milk", BUY, 5), ("milk", ADD, 3)], True),
        ([("milk", ADD, 5), ("tea", BUY, 3)], True),
        ([("milk", ADD, 5), ("milk", RETURN, 3)], True),
        ([("milk", REMOVE, 5)], False),
        ([("milk", ADD, 90), ("milk", VIEW, 1)], False),  # an earlier session's
    ],
)
def test_the_cart_holds_what_was_added_and_not_bought(acts, in_cart):
    assert pairs(of(*acts))["session_in_cart"]["milk"] == in_cart


def test_items_that_the_catalogue_lacks_count_as_interactions_only():
    found = of(("unheard of", VIEW, 2), ("milk", VIEW, 20), ("unheard of", ADD, 3))
    assert (found.events.tolist(), found.row.tolist()) == ([3], [0])


ROW = st.tuples(
    st.integers(0, 2),
    st.sampled_from([*SHELVES, "unheard of"]),
    st.sampled_from(list(EventType)),
    st.integers(-10, 400).map(lambda thirds: thirds * 7 / 3),
    st.integers(1, 3),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROW, max_size=30, unique=True), st.randoms(), st.data())
def test_order_and_batches_do_not_matter(rows, random, data):
    limits = Limits(purchases=data.draw(st.integers(1, 30)), recent=data.draw(st.integers(1, 30)))
    shuffled = list(rows)
    random.shuffle(shuffled)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    states, one = CustomerStates.empty(3), fold(CustomerStates.empty(3), events(rows), limits).states
    for start, end in pairwise([0, *cuts, len(rows)]):
        states = fold(states, events(shuffled).take(np.arange(start, end)), limits).states
    instants = NOW - np.array([0, 5, 700]) * MINUTE
    expected = sessions(histories_of(one), CATALOGUE, instants)
    found = sessions(histories_of(states), CATALOGUE, instants)
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)
    for customer in range(3):  # each alone as together
        alone = sessions(histories_of(one.take(np.array([customer]))), CATALOGUE, instants[customer : customer + 1])
        own = slice(expected.offsets[customer], expected.offsets[customer + 1])
        np.testing.assert_array_equal(alone.events, expected.events[customer : customer + 1])
        for name in ("row", "views", "in_cart", "looked_at", "bought_at"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(expected, name)[own], err_msg=name)
