"""The tables of taste against EASE^R written down plainly."""

from types import SimpleNamespace

import numpy as np
import pytest

from feature_repo.ragged import lengths_to_offsets
from trainer import taste as module
from trainer.taste import RANK, RIDGE, learned

pytestmark = pytest.mark.trainer


def held(matrix):
    """What customers hold; a taste looks at who holds what alone."""
    owner, row = np.nonzero(matrix)
    return SimpleNamespace(owner=owner, row=row, offsets=lengths_to_offsets(matrix.sum(axis=1).astype(np.int64)))


def ease(matrix):
    inverse = np.linalg.inv(matrix.T @ matrix + RIDGE * np.eye(matrix.shape[1]))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return matrix @ weights


def matrix(customers, items, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, customers)[:, None] == rng.integers(0, 3, items)
    return (rng.random((customers, items)) < np.where(kind, 0.5, 0.1)).astype(np.float64)


def every(found, matrix):
    customers, items = matrix.shape
    who, what = np.indices(matrix.shape).reshape(2, -1)
    return found.pairs(found.customers(held(matrix)), who, what).reshape(customers, items)


@pytest.mark.parametrize(("customers", "items"), [(40, 60), (60, 40), (300, 40), (40, 300)])
def test_it_is_what_ease_foretells(customers, items):
    """With no more than 64 of a kind, nothing is smoothed away."""
    own = matrix(customers, items)
    np.testing.assert_allclose(every(learned(held(own), items), own), ease(own), atol=1e-4)


@pytest.mark.parametrize(("customers", "items"), [(400, 300), (300, 400)])
def test_the_largest_part_is_kept_of_more(customers, items):
    own = matrix(customers, items)
    exact = ease(own)
    left, size, right = np.linalg.svd(exact, full_matrices=False)
    best = (left[:, :RANK] * size[:RANK]) @ right[:RANK]
    found = learned(held(own), items)
    assert np.linalg.norm(every(found, own) - exact) < 1.05 * np.linalg.norm(best - exact)
    assert found.tables(items).shape == (2, items, RANK)


def test_a_customer_who_came_later_is_known_by_what_they_hold():
    own, later = matrix(500, 40), matrix(20, 40, seed=1)
    weights = np.linalg.lstsq(own, ease(own), rcond=None)[0]
    np.testing.assert_allclose(every(learned(held(own), 40), later), later @ weights, atol=1e-4)


def test_rarely_held_items_have_none(monkeypatch):
    monkeypatch.setattr(module, "ITEMS", 10)
    own = matrix(50, 30)
    holders, told = own.sum(axis=0), learned(held(own), 30).rows
    assert len(told) == 10
    assert holders[told].min() >= np.delete(holders, told).max()


def test_nobody_holds_anything():
    assert not learned(held(np.zeros((4, 5))), 5).tables(5).any()


def test_it_is_learned_the_same_again():
    own = matrix(200, 150)
    one, other = (learned(held(own), 150).tables(150) for _ in range(2))
    np.testing.assert_array_equal(one, other)
