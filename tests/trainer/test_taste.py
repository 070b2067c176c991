"""Taste against EASE^R written down plainly."""

from types import SimpleNamespace

import numpy as np
import pytest

from feature_repo.encoder import FIRST_CODE
from feature_repo.ragged import lengths_to_offsets
from trainer import taste as module
from trainer.taste import RANK, RIDGE, Taste, taste

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


def every(found, customers, items):
    return found.customers[:customers] @ found.items[:items].T


@pytest.mark.parametrize(("customers", "items"), [(40, 60), (60, 40), (300, 40), (40, 300)])
def test_it_is_what_ease_foretells(customers, items):
    """With no more than 64 of a kind, nothing is smoothed away."""
    own = matrix(customers, items)
    found = taste(held(own), np.full(items, FIRST_CODE, np.int32), seed=1)
    np.testing.assert_allclose(every(found, customers, items), ease(own), atol=1e-4)


def test_the_largest_part_is_kept_of_more():
    own = matrix(400, 300)
    found = taste(held(own), np.full(300, FIRST_CODE, np.int32), seed=1)
    left, size, right = np.linalg.svd(ease(own), full_matrices=False)
    best = (left[:, :RANK] * size[:RANK]) @ right[:RANK]
    exact = ease(own)
    assert np.linalg.norm(every(found, 400, 300) - exact) < 1.05 * np.linalg.norm(best - exact)
    assert found.customers.shape == (400, RANK)


def test_items_without_a_code_or_rarely_held_have_none(monkeypatch):
    monkeypatch.setattr(module, "ITEMS", 10)
    own = matrix(50, 30)
    codes = np.full(30, FIRST_CODE, np.int32)
    codes[::2] = 0
    found = taste(held(own), codes, seed=1)
    holders = own.sum(axis=0) * (codes >= FIRST_CODE)
    told = found.items.any(axis=1)
    assert told.sum() == 10
    assert holders[told].min() >= holders[~told].max()


def test_nobody_holds_anything():
    found = taste(held(np.zeros((4, 5))), np.full(5, FIRST_CODE, np.int32), seed=1)
    assert not found.customers.any()
    assert not found.items.any()


def test_the_same_seed_gives_the_same():
    own, codes = matrix(200, 150), np.full(150, FIRST_CODE, np.int32)
    one, other = (taste(held(own), codes, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.items, other.items)
    assert isinstance(one, Taste)
