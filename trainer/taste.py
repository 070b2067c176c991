"""Learning the tables of taste: customers and items in one space, by who holds what.

How much what a customer holds speaks for an item is foretold as EASE^R does (Steck, "Embarrassingly Shallow
Autoencoders for Sparse Data", 2019): each item's holders regressed on all other items. Of that matrix of customers and
items the largest right singular vectors are kept (Halko, Martinsson and Tropp, 2011), which smooths it and makes it two
small tables. The two-tower knows items by what they are; this knows them by their buyers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from feature_repo.affinity import ItemAffinities
from feature_repo.taste import NO_TASTE, Taste

Floats = NDArray[np.float32]

RANK = 64
"""Dimensions."""

ITEMS = 6000
"""So many items, those that the most customers hold, have a taste: the regression inverts a matrix of their number."""

RIDGE = 200.0
"""Of the regression, in holders."""

_SPARE, _PASSES, _SEED = 16, 2, 17


def learned(held: ItemAffinities, items: int) -> Taste:
    """The tables by what customers hold; `items` is the size of the catalogue."""
    customers = len(held.offsets) - 1
    cells = np.ones(len(held.row), np.float32), (held.owner, held.row)
    matrix = scipy.sparse.csr_matrix(cells, shape=(customers, items), dtype=np.float32)
    holders = matrix.getnnz(axis=0)
    most = np.argsort(-holders, kind="stable")[:ITEMS]
    most = np.sort(most[holders[most] > 0])
    rank = min(RANK, customers, len(most))
    if not rank:
        return NO_TASTE
    own = matrix[:, most]
    weights = _weights(own)
    standing = _directions(own, weights, rank)
    return Taste(most, weights.times(standing), standing)


class _Weights(NamedTuple):
    """EASE's weights, float32[m, m]: what items say of items; 0 where an item speaks for itself."""

    times: Callable[[Floats], Floats]
    """float32[m, k] -> float32[m, k]"""
    back: Callable[[Floats], Floats]
    """The same of the transpose."""


def _weights(held: scipy.sparse.csr_matrix) -> _Weights:
    """held: ones, float32[n, m]. With Y for it and P the inverse of Y'Y + ridge, the weights are 1 - P / diag(P)."""
    customers, items = held.shape
    if customers < items:  # P = (1 - Y' (Y Y' + ridge)^-1 Y) / ridge: the smaller matrix, and P is never made
        gram = (held @ held.T).toarray()
        gram[np.diag_indices(customers)] += RIDGE
        smoothed = cho_solve(cho_factor(gram, overwrite_a=True), held.toarray(), overwrite_b=True)
        scale = (1.0 - np.asarray(held.multiply(smoothed).sum(axis=0), np.float32)).reshape(-1, 1)  # ridge times diag

        def rest(values: Floats) -> Floats:
            found: Floats = values - held.T @ (smoothed @ values)
            return found

        return _Weights(lambda values: values - rest(values / scale), lambda values: values - rest(values) / scale)
    gram = (held.T @ held).toarray()
    gram[np.diag_indices(items)] += RIDGE
    inverse = cho_solve(cho_factor(gram, overwrite_a=True), np.eye(items, dtype=np.float32), overwrite_b=True)
    inverse /= -np.diag(inverse).copy()
    np.fill_diagonal(inverse, 0.0)
    return _Weights(lambda values: inverse @ values, lambda values: inverse.T @ values)


def _directions(held: scipy.sparse.csr_matrix, weights: _Weights, rank: int) -> Floats:
    """float32[m, rank]: the largest right singular vectors of what EASE foretells of each customer."""
    start = np.random.default_rng(_SEED).standard_normal((held.shape[1], rank + _SPARE), dtype=np.float32)
    basis = np.linalg.qr(held @ weights.times(start))[0]
    for _ in range(_PASSES):
        back = np.linalg.qr(weights.back(held.T @ basis))[0]
        basis = np.linalg.qr(held @ weights.times(back))[0]
    _, _, right = np.linalg.svd(weights.back(held.T @ basis).T, full_matrices=False)
    return np.ascontiguousarray(right[:rank].T)
