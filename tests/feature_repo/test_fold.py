"""The fold gives the same features for any split into batches, any order and any repetition of events."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.customer_state import CustomerStates, EventType, Limits
from feature_repo.events import Events, Outcome
from feature_repo.fold import fold
from feature_repo.items_state import NO_SLOT, SLOT, SLOTS, ItemDeltas, apply_deltas, empty_items
from feature_repo.purchases import DAY

LIMITS = Limits(purchases=5, recent=3, seen=1000)
TYPES = [*([EventType.PURCHASE] * 3), EventType.RETURN, *EventType]
ROW = st.tuples(
    st.integers(0, 2),  # customer
    st.integers(1, 4),  # item
    st.sampled_from(TYPES),
    st.integers(1, 90 * 4).map(lambda quarters: quarters * (DAY // 4))  # 1970's first instant stands for "never"
    | st.integers(1, 60).map(lambda slots: 2 * DAY + slots * 4 * SLOT),
    st.integers(1, 3),  # quantity
    st.integers(-1, 500),  # amount
    st.sampled_from([0, SLOT // 2, 3 * SLOT, 2 * DAY]),  # how far the sender's clock runs ahead
)
LATER = 100 * DAY


def make(rows, event_ids=None, offsets=None, ahead=False) -> Events:
    """Events that arrive by offset after everything has happened; `ahead`: or before it, by the sender's clock."""
    customer, item, kind, time, quantity, amount = (np.array(c) for c in list(zip(*rows, strict=True))[:6])
    offsets = np.arange(len(rows)) if offsets is None else np.array(offsets)
    arrival = time - np.array([row[6] for row in rows]) if ahead else LATER + offsets.astype(np.int64) * 1000
    return Events(
        customer=customer.astype(np.int64), item=item.astype(np.uint64),
        event=np.array(range(len(rows)) if event_ids is None else event_ids, dtype=np.uint64),
        type=kind.astype(np.int8), time=time.astype(np.int64), quantity=quantity.astype(np.int32),
        amount=amount.astype(np.int32), weight=quantity.astype(np.float32),
        arrival=arrival, offset=offsets.astype(np.int64),
    )  # fmt: skip


def run(batches, limits=LIMITS):
    states, items = CustomerStates.empty(3), {}
    outcomes = []
    for events in batches:
        folded = fold(states, events, limits)
        states = folded.states
        outcomes.append(folded.outcome)
        merge(items, folded.deltas)
    return states, items, outcomes


def merge(items: dict[int, np.ndarray], deltas: ItemDeltas) -> None:
    old = np.concatenate([items.get(int(k), empty_items(1)) for k in deltas.items] or [empty_items(0)])
    for key, state in zip(deltas.items, apply_deltas(old, deltas), strict=True):
        items[int(key)] = np.array([state])


def same(a, b) -> None:
    (states, items, _), (other, other_items, _) = a, b
    for name in ("purchases", "purchase_offsets", "recent", "recent_offsets", "evicted"):
        np.testing.assert_array_equal(getattr(states, name), getattr(other, name), err_msg=name)
    assert items.keys() == other_items.keys()
    for key, state in items.items():
        np.testing.assert_array_equal(state, other_items[key])


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=40), st.randoms(), st.data())
def test_any_order_and_any_split_give_the_same_state(rows, random, data):
    limits = Limits(purchases=data.draw(st.integers(1, 50)), recent=3)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    shuffled = list(rows)
    random.shuffle(shuffled)
    whole = run([make(rows, ahead=True)], limits)
    bounds = [0, *cuts, len(rows)]
    events = make(shuffled, ahead=True)
    split = run([events.take(np.arange(a, b)) for a, b in pairwise(bounds)], limits)
    same(whole, split)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=40), st.randoms())
def test_a_bounded_history_does_not_depend_on_order(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    same(run([make(rows)]), run([make(shuffled).take(np.array([i])) for i in range(len(rows))]))


@settings(max_examples=200, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30), st.data())
def test_replays_and_duplicates_change_nothing(rows, data):
    events = make(rows)
    once = run([events])
    start = data.draw(st.integers(0, len(rows)))
    replayed = run([events, events.take(np.arange(start, len(rows)))])
    same(once, replayed)
    assert (replayed[2][1] == Outcome.REPLAYED).all()
    again = make(rows, offsets=np.arange(len(rows)) + 1000)
    twice = run([events, again])
    same(once, twice)
    assert (twice[2][1] == Outcome.DUPLICATE).all()
    both = make(rows + rows, event_ids=[*range(len(rows))] * 2)
    same(once, run([both]))


def test_a_replayed_duplicate_is_told_from_a_replayed_original():
    rows = [(0, 1, EventType.PURCHASE, DAY, 1, 100)] * 2
    events = make(rows, event_ids=[7, 7])
    states, _, outcomes = run([events, events])
    assert outcomes[0].tolist() == [Outcome.APPLIED, Outcome.DUPLICATE]
    assert outcomes[1].tolist() == [Outcome.REPLAYED, Outcome.REPLAYED_DUPLICATE]
    assert len(states.purchases) == 1


def test_an_id_is_free_again_after_the_dedupe_window():
    rows = [(0, 1, EventType.PURCHASE, DAY, 1, 100)] * 2
    _, _, outcomes = run([make(rows, event_ids=[7, 7], offsets=[0, 10_000])], Limits(dedupe_window=9_000_000))
    assert outcomes[0].tolist() == [Outcome.APPLIED, Outcome.APPLIED]


@pytest.mark.parametrize("n", [0, 1, 5])
def test_states_survive_packing(n):
    rows = [(c, 1 + c, EventType.PURCHASE, (4 * c + i) * DAY // 4, 1, 10) for c in range(3) for i in range(n)]
    rows += [(0, 2, EventType.VIEW, DAY // 4, 1, -1)]
    states, _, _ = run([make(rows)])
    back = CustomerStates.from_rows([*states.rows(), None])
    for name in ("purchases", "recent", "seen"):
        np.testing.assert_array_equal(getattr(back, name), getattr(states, name))
    assert back.sealed == [*states.sealed, b""]
    assert back.position.tolist()[:3] == states.position.tolist()
    assert len(back) == 4


def test_a_return_takes_back_its_purchase_and_nothing_else():
    rows = [
        (0, 1, EventType.RETURN, 0, 1, -1),  # nothing bought yet: ignored
        (0, 1, EventType.PURCHASE, 1 * DAY, 2, 200),
        (0, 1, EventType.PURCHASE, 2 * DAY, 3, 301),
        (0, 1, EventType.RETURN, 3 * DAY, 2, -1),  # two of the three units of day 2
        (0, 1, EventType.PURCHASE, 4 * DAY, 1, 100),
    ]
    _, items, _ = run([make(rows)])
    state = items[1][0]
    assert (state["purchases"], state["quantity"], state["spend"]) == (3, 4, 200 + 100 + 100)
    assert (state["buyers"], state["repeats"]) == (1, 2)
    assert state["daily"][[1, 2, 4]].tolist() == [1, 1, 1]


def hot_of(*rows) -> tuple[int, dict[int, int]]:
    """Newest slot of item 1 and its weights by slot, of (type, minute happened, minute arrived)."""
    minute = 60_000_000
    made = [(0, 1, kind, time * minute, 1, 100, (time - arrival) * minute) for kind, time, arrival in rows]
    _, items, _ = run([make(made, ahead=True)])
    if not items:
        return NO_SLOT, {}
    newest, ring = int(items[1]["hot_slot"][0]), items[1]["hot"][0]
    slots = range(newest - SLOTS + 1, newest + 1)
    return newest, {slot: int(ring[slot % SLOTS]) for slot in slots if ring[slot % SLOTS]}


def test_interactions_warm_their_slot_by_weight():
    kinds = [EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE]
    assert hot_of(*((kind, 1003, 1003) for kind in kinds)) == (200, {200: 1 + 1 + 3 + 5})
    others = [EventType.IMPRESSION, EventType.RATING, EventType.REMOVE_FROM_CART]
    assert hot_of(*((kind, 1003, 1003) for kind in others)) == (NO_SLOT, {})


def test_a_clock_ahead_counts_when_its_event_arrives():
    rows = [(EventType.VIEW, 1000, 1001), (EventType.VIEW, 9000, 1006)]
    assert hot_of(*rows) == (201, {200: 1, 201: 1})


def test_what_lies_behind_the_ring_is_left_out():
    rows = [(EventType.VIEW, 1000 + 5 * SLOTS, 2000), (EventType.VIEW, 1000, 2000), (EventType.PURCHASE, 1005, 2000)]
    assert hot_of(*rows) == (200 + SLOTS, {200 + SLOTS: 1, 201: 5})
