"""Taste against plain sums and products."""

from itertools import chain
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_repo import taste as module
from feature_repo.ragged import lengths_to_offsets, owners
from feature_repo.taste import NO_TASTE, Taste

ROWS = np.array([2, 5, 6, 9], np.int64)
CATALOGUE, CUSTOMERS, DIMENSIONS = 12, 30, 3
RANDOM = np.random.default_rng(5)
HOLDING, STANDING = RANDOM.normal(size=(2, len(ROWS), DIMENSIONS)).astype(np.float32)
TASTE = Taste(ROWS, HOLDING, STANDING)


def held(*customers):
    offsets = lengths_to_offsets(np.array([len(rows) for rows in customers], np.int64))
    return SimpleNamespace(
        row=np.array([*chain.from_iterable(customers)], np.int64), offsets=offsets, owner=owners(offsets)
    )


def plainly(rows):
    return sum((HOLDING[ROWS.tolist().index(row)] for row in rows if row in ROWS), np.zeros(DIMENSIONS, np.float32))


HELD = st.lists(st.sets(st.integers(0, CATALOGUE + 40)).map(sorted), min_size=1, max_size=CUSTOMERS)


@given(HELD, st.integers(1, 6))
def test_customers_pairs_and_the_nearest(customers, k):
    own = held(*customers)
    found = TASTE.customers(own)
    np.testing.assert_allclose(found, [plainly(rows) for rows in customers], atol=1e-5)
    every = np.zeros((len(customers), CATALOGUE))
    every[:, ROWS] = found @ STANDING.T
    who, what = np.indices(every.shape).reshape(2, -1)
    np.testing.assert_allclose(TASTE.pairs(found, who, what), every.ravel(), atol=1e-5)
    for place, (rows, liked) in enumerate(zip(customers, TASTE.nearest(found, own, k), strict=True)):
        open_ = [row for row in range(CATALOGUE) if row not in rows and every[place, row] > 1e-6]
        assert liked.tolist() == sorted(open_, key=lambda row: -every[place, row])[:k]
    [last] = TASTE.nearest(found, own, k, np.array([len(customers) - 1]))
    assert last.tolist() == liked.tolist()


def test_blocks_make_no_difference(monkeypatch):
    own = held(*[sorted(set(RANDOM.integers(0, CATALOGUE, 4).tolist())) for _ in range(CUSTOMERS)])
    whole = TASTE.customers(own)
    who, what = np.repeat(np.arange(CUSTOMERS), CATALOGUE), np.tile(np.arange(CATALOGUE), CUSTOMERS)
    pairs, liked = TASTE.pairs(whole, who, what), TASTE.nearest(whole, own, 2)
    monkeypatch.setattr(module, "_CUSTOMERS_AT_ONCE", 7)
    some = np.arange(3, len(who), 5)
    np.testing.assert_array_equal(TASTE.pairs(whole, who[some], what[some]), pairs[some])
    assert [rows.tolist() for rows in TASTE.nearest(whole, own, 2)] == [rows.tolist() for rows in liked]


def test_the_nearest_of_many():
    """Enough of them for the sieve, and ties, which go to the smaller row."""
    rows = np.sort(RANDOM.permutation(9000)[:6000])
    standing = RANDOM.integers(-20, 21, (6000, 1)).astype(np.float32)
    many = Taste(rows, np.ones((6000, 1), np.float32), standing)
    own = held([int(row) for row in rows[:5]])
    open_ = np.arange(5, 6000)
    best = open_[np.argsort(-standing[open_, 0], kind="stable")]
    for k in (1, 7, 100, 400, 1000, 2500, 6000):
        [liked] = many.nearest(many.customers(own), own, k)
        assert liked.tolist() == rows[best[standing[best, 0] > 0][:k]].tolist()


def test_tables_find_their_items_in_another_catalogue():
    """A bundle's items stand in the order of the trainer's catalogue, serving's catalogue has its own."""
    tables = TASTE.tables(CATALOGUE)
    assert tables.shape == (2, CATALOGUE, DIMENSIONS)
    elsewhere = np.random.default_rng(1).permutation(CATALOGUE * 2)[:CATALOGUE]
    moved = Taste.of(tables, elsewhere)
    np.testing.assert_array_equal(moved.rows, np.sort(elsewhere[ROWS]))
    before, after = held([2, 6]), held(sorted(elsewhere[[2, 6]].tolist()))
    np.testing.assert_allclose(moved.customers(after), TASTE.customers(before), atol=1e-6)
    zeros = np.zeros(CATALOGUE, np.int64)
    np.testing.assert_allclose(
        moved.pairs(moved.customers(after), zeros, elsewhere),
        TASTE.pairs(TASTE.customers(before), zeros, np.arange(CATALOGUE)),
        atol=1e-6,
    )


def test_without_tables_there_is_no_taste():
    own = held([1, 2], [])
    stand = NO_TASTE.customers(own)
    assert NO_TASTE.pairs(stand, np.array([0, 1]), np.array([1, 700])).tolist() == [0.0, 0.0]
    assert [len(rows) for rows in NO_TASTE.nearest(stand, own, 5)] == [0, 0]
    assert Taste.of(NO_TASTE.tables(4), np.arange(4)).rows.tolist() == []
