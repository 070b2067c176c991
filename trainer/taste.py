"""Taste: customers and items in one space, by who holds what, so that the trees know what goes with what.

How much what a customer holds speaks for an item is foretold as EASE^R does (Steck, "Embarrassingly Shallow
Autoencoders for Sparse Data", 2019): each item's holders regressed on all other items. Of that matrix of customers and
items the largest singular values are kept (Halko, Martinsson and Tropp, 2011), which smooths it and makes it two small
tables. The two-tower knows items by what they are; this knows them by their buyers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from feature_repo.affinity import ItemAffinities
from feature_repo.encoder import FIRST_CODE

Floats = NDArray[np.float32]

RANK = 64
"""Dimensions."""

ITEMS = 6000
"""So many items, those that the most customers hold, have a taste: the regression inverts a matrix of their number."""

RIDGE = 200.0
"""Of the regression, in holders."""

_SPARE, _PASSES = 16, 2


class Taste(NamedTuple):
    """Where customers and items stand: float32[customers, RANK] and float32[catalogue, RANK]; zero where unknown."""

    customers: Floats
    items: Floats

    def of(self, customer: NDArray[np.integer], item: NDArray[np.integer]) -> Floats:
        """float32[m]: how well pairs go together; 0 where nothing is known."""
        found: Floats = np.einsum("ij,ij->i", self.customers[customer], self.items[item])
        return found

    def by_code(self, customers: NDArray[np.int32], items: NDArray[np.int32], rows: tuple[int, int]) -> Taste:
        """The same by code, in tables of so many rows; codes that stand for the unknown get zeros.

        customers: int32[customers], items: int32[catalogue]: the codes of the ids.
        """
        return Taste(_by_code(self.customers, customers, rows[0]), _by_code(self.items, items, rows[1]))


def taste(held: ItemAffinities, item_codes: NDArray[np.int32], seed: int) -> Taste:
    """Decompose what customers hold.

    held: their items at the moment in question; item_codes: int32[catalogue], items without a code of their own are
    left out, because serving could not tell them apart.
    """
    customers = len(held.offsets) - 1
    known = item_codes[held.row] >= FIRST_CODE
    cells = np.ones(int(known.sum()), np.float32), (held.owner[known], held.row[known])
    matrix = scipy.sparse.csr_matrix(cells, shape=(customers, len(item_codes)), dtype=np.float32)
    holders = matrix.getnnz(axis=0)
    most = np.argsort(-holders, kind="stable")[:ITEMS]
    most = np.sort(most[holders[most] > 0])
    out = Taste(np.zeros((customers, RANK), np.float32), np.zeros((len(item_codes), RANK), np.float32))
    rank = min(RANK, customers, len(most))
    if rank:
        left, size, right = _decomposed(_foretold(matrix[:, most]), len(most), rank, seed)
        out.customers[:, :rank] = left * np.sqrt(size)
        out.items[most, :rank] = right.T * np.sqrt(size)
    return out


class _Foretold(NamedTuple):
    """EASE's matrix of customers and items, float32[n, m], which is never made: what it does to others."""

    times: Callable[[Floats], Floats]
    """float32[m, k] -> float32[n, k]"""
    back: Callable[[Floats], Floats]
    """float32[n, k] -> float32[m, k], the transpose"""


def _foretold(held: scipy.sparse.csr_matrix) -> _Foretold:
    """held: ones, float32[n, m]. With Y for it and P the inverse of Y'Y + ridge, the matrix is Y - Y P / diag(P)."""
    customers, items = held.shape
    if customers < items:  # Y P = inverse of (Y Y' + ridge) Y: the smaller matrix
        gram = (held @ held.T).toarray()
        gram[np.diag_indices(customers)] += RIDGE
        smoothed = cho_solve(cho_factor(gram, overwrite_a=True), held.toarray(), overwrite_b=True)
        scale = (1.0 - np.asarray(held.multiply(smoothed).sum(axis=0), np.float32)) / np.float32(RIDGE)
        scale = scale.reshape(-1, 1)
        return _Foretold(
            lambda values: held @ values - smoothed @ (values / scale),
            lambda values: held.T @ values - (smoothed.T @ values) / scale,
        )
    gram = (held.T @ held).toarray()
    gram[np.diag_indices(items)] += RIDGE
    weights = cho_solve(cho_factor(gram, overwrite_a=True), np.eye(items, dtype=np.float32), overwrite_b=True)
    weights /= -np.diag(weights).copy()
    np.fill_diagonal(weights, 0.0)
    return _Foretold(lambda values: held @ (weights @ values), lambda values: weights.T @ (held.T @ values))


def _decomposed(matrix: _Foretold, width: int, rank: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """The largest singular vectors and values: float32[n, rank], float32[rank], float32[rank, m]."""
    start = np.random.default_rng(seed).standard_normal((width, rank + _SPARE), dtype=np.float32)
    basis = np.linalg.qr(matrix.times(start))[0]
    for _ in range(_PASSES):
        basis = np.linalg.qr(matrix.times(np.linalg.qr(matrix.back(basis))[0]))[0]
    left, size, right = np.linalg.svd(matrix.back(basis).T, full_matrices=False)
    return basis @ left[:, :rank], size[:rank], right[:rank]


def stacked_tastes(parts: Sequence[Taste]) -> Taste:
    """The tastes of several windows in one, as their tables are stacked."""
    return Taste(np.concatenate([p.customers for p in parts]), np.concatenate([p.items for p in parts]))


def _by_code(values: Floats, codes: NDArray[np.int32], rows: int) -> Floats:
    out = np.zeros((rows, values.shape[1]), np.float32)
    own = codes >= FIRST_CODE
    out[codes[own]] = values[own]
    return out
