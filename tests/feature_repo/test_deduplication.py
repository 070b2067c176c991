"""Duplicates are what a plain dictionary says they are, and what is remembered does not depend on batches."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.customer_state import SEEN_ID, CustomerStates, Limits
from feature_repo.deduplication import deduplicate
from feature_repo.events import Events, Outcome

CUSTOMERS = 3
WINDOW = 100
MIX = 0x9E3779B97F4A7C15
STREAM = st.lists(
    st.tuples(
        st.integers(0, CUSTOMERS - 1),
        st.integers(1, 25).map(lambda number: number * MIX % 2**64),  # odd and even, all over the hash buckets
        st.sampled_from([0, 1, 7, 40, 130]),  # since the event before
    ),
    max_size=60,
)


def events_of(stream: list[tuple[int, int, int]]) -> Events:
    n = len(stream)
    customer, event, gap = (np.array([row[at] for row in stream]) for at in range(3))
    zeros = np.zeros(n, dtype=np.int64)
    return Events(
        customer=customer.astype(np.int64), item=zeros.astype(np.uint64), event=event.astype(np.uint64),
        type=zeros.astype(np.int8), time=zeros, quantity=zeros.astype(np.int32), amount=zeros.astype(np.int32),
        weight=zeros.astype(np.float32), arrival=np.cumsum(gap).astype(np.int64), offset=np.arange(n),
    )  # fmt: skip


def run(events: Events, bounds: list[int], limits: Limits) -> tuple[list[int], CustomerStates]:
    states, outcomes = CustomerStates.empty(CUSTOMERS), list[int]()
    for start, end in pairwise(bounds):
        batch = events.take(np.arange(start, end))
        outcome, found = deduplicate(states, batch, limits)
        position = states.position.copy()
        np.maximum.at(position, batch.customer, batch.offset)
        states = CustomerStates(
            states.purchases, states.purchase_offsets, states.recent, states.recent_offsets,
            found.seen, found.seen_offsets, found.sealed, states.evicted, position,
        )  # fmt: skip
        outcomes += outcome.tolist()
    return outcomes, states


def expected(events: Events) -> list[int]:
    accepted: dict[tuple[int, int], int] = {}
    outcomes = []
    for customer, event, arrival in zip(events.customer, events.event, events.arrival, strict=True):
        at = accepted.get((customer, event))
        repeats = at is not None and arrival - at <= WINDOW
        if not repeats:
            accepted[customer, event] = arrival
        outcomes.append(Outcome.DUPLICATE if repeats else Outcome.APPLIED)
    return outcomes


@settings(max_examples=500, deadline=None)
@given(STREAM, st.lists(st.integers(0, 60), max_size=5), st.sampled_from([1, 2, 5, 1000]))
def test_any_split_tells_duplicates_and_remembers_the_same(stream, cuts, sealing):
    events, limits = events_of(stream), Limits(dedupe_window=WINDOW, sealing=sealing)
    n = len(stream)
    whole, one_pass = run(events, [0, n], limits)
    split, in_parts = run(events, [0, *sorted(min(cut, n) for cut in cuts), n], limits)
    assert whole == split == expected(events)
    assert one_pass.rows() == in_parts.rows()


@settings(max_examples=200, deadline=None)
@given(STREAM, st.integers(1, 8))
def test_what_is_remembered_is_bounded(stream, seen):
    limits = Limits(dedupe_window=WINDOW, sealing=2, seen=seen)
    _, states = run(events_of(stream), list(range(len(stream) + 1)), limits)
    for row in states.rows():
        ids = np.frombuffer(row.sealed + row.ids, dtype=SEEN_ID)
        assert len(ids) <= 2 * seen
        assert (np.diff(ids["offset"]) > 0).all()
        newest = ids["arrival"].max(initial=0)
        assert (np.frombuffer(row.ids, dtype=SEEN_ID)["arrival"] >= newest - WINDOW).all()


def test_what_was_sealed_expires_with_the_window():
    limits = Limits(dedupe_window=WINDOW, sealing=2)
    _, states = run(events_of([(0, 2, 0), (0, 4, 1), (0, 3, 5)]), [0, 3], limits)
    assert [len(states.sealed[0]), len(states.rows()[0].ids)] == [2 * SEEN_ID.itemsize, SEEN_ID.itemsize]
    _, states = run(events_of([(0, 2, 0), (0, 4, 1), (0, 3, WINDOW + 1)]), [0, 2, 3], limits)
    assert [len(states.sealed[0]), len(states.rows()[0].ids)] == [0, SEEN_ID.itemsize]
