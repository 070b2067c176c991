"""Erasing at any point, with any split into batches, leaves what the other events alone would give."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.customer_state import CustomerStates, Limits
from feature_repo.erasure import erase
from feature_repo.events import Events
from feature_repo.fold import fold
from feature_repo.items_state import DAYS, TOTALS, ItemDeltas, apply_deltas, empty_items, places
from tests.feature_repo.test_fold import ROW, make

CUSTOMERS = 3


class World:
    """States of all customers and items, as a stream of batches and erasures makes them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.states = CustomerStates.empty(CUSTOMERS)
        self.items: dict[int, np.ndarray] = {}

    def apply(self, events: Events) -> None:
        folded = fold(self.states, events, self.limits)
        self.states = folded.states
        self._merge(folded.deltas)

    def erase(self, customers: list[int], offset: int) -> None:
        at = np.full(CUSTOMERS, -(2**62))
        at[customers] = offset
        erased = erase(self.states, at)
        self.states = erased.states
        self._merge(erased.deltas)

    def _merge(self, deltas: ItemDeltas) -> None:
        old = np.concatenate([self.items.get(int(k), empty_items(1)) for k in deltas.items] or [empty_items(0)])
        for key, state in zip(deltas.items, apply_deltas(old, deltas), strict=True):
            self.items[int(key)] = np.array([state])

    def counts(self, item: int, newest_day: int) -> dict[str, object]:
        """An item's sums and its days within the ring that ends at a day."""
        state = self.items.get(item, empty_items(1))
        days = places(state["newest_day"], DAYS)[0]
        alive = (days > newest_day - DAYS) & (state["daily"][0] != 0)
        return {
            **{name: int(state[name][0]) for name in TOTALS},
            "days": dict(zip(days[alive].tolist(), state["daily"][0][alive].tolist(), strict=True)),
        }


@st.composite
def streams(draw):
    """Events with erasures between them: at which row, and whose."""
    rows = draw(st.lists(ROW, min_size=1, max_size=40))
    erasures = draw(
        st.dictionaries(
            st.integers(0, len(rows)), st.lists(st.integers(0, CUSTOMERS - 1), min_size=1, unique=True), max_size=3
        )
    )
    cuts = draw(st.lists(st.integers(0, len(rows)), max_size=4))
    return rows, erasures, sorted({0, len(rows), *cuts, *erasures})


@settings(max_examples=300, deadline=None)
@given(streams(), st.integers(1, 50))
def test_what_stays_is_what_the_events_after_the_erasure_give(stream, purchases):
    rows, erasures, bounds = stream
    limits = Limits(purchases=purchases, recent=3)
    # Every erasure takes an offset of its own, between those of the events.
    events = make(rows, offsets=np.arange(len(rows)) * 10)
    split, alone = World(limits), World(limits)
    split.erase(erasures.get(0, []), -5)
    for start, end in pairwise(bounds):
        split.apply(events.take(np.arange(start, end)))
        split.erase(erasures.get(end, []), end * 10 - 5)

    last = {who: at for at in sorted(erasures) for who in erasures[at]}
    keep = np.array([at >= last.get(row[0], 0) for at, row in enumerate(rows)])
    alone.apply(events.take(keep))
    for name in ("purchases", "purchase_offsets", "recent", "recent_offsets", "seen", "seen_offsets", "evicted"):
        np.testing.assert_array_equal(getattr(split.states, name), getattr(alone.states, name), err_msg=name)
    assert split.states.sealed == alone.states.sealed
    for item, state in split.items.items():
        newest = int(state["newest_day"][0])
        assert split.counts(item, newest) == alone.counts(item, newest), item


def test_a_customer_read_beyond_its_erasure_is_left_as_it_is():
    events = make([(0, 1, 5, 4, 1, 100), (1, 1, 5, 8, 2, 50)], offsets=[3, 4])
    states = fold(CustomerStates.empty(CUSTOMERS), events).states
    erased = erase(states, np.array([3, 4, 5]))
    assert erased.due.tolist() == [False, False, True]
    assert erased.states.position.tolist() == [3, 4, 5]
    np.testing.assert_array_equal(erased.states.purchases, states.purchases)
    assert len(erased.deltas.items) == 0
