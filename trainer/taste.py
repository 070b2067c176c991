"""Taste: customers and items in one space by who holds what, so that the trees know what goes with what.

A truncated singular value decomposition of the matrix of customers and items (PureSVD: Cremonesi, Koren and Turrin,
2010), its columns scaled by popularity. The two-tower knows items by what they are; this knows them by their buyers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd

from feature_repo.affinity import ItemAffinities
from feature_repo.encoder import FIRST_CODE

Floats = NDArray[np.float32]

RANK = 32
"""Dimensions. Fewer smooth more: on Complete Journey 32 rank novel items better than 128, or all of them."""

DAMPING = 0.25
"""An item's column is divided by its buyers to this power, or the bestsellers would be all that is seen."""


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
    bought = np.flatnonzero(matrix.getnnz(axis=0))
    out = Taste(np.zeros((customers, RANK), np.float32), np.zeros((len(item_codes), RANK), np.float32))
    rank = min(RANK, customers, len(bought))
    if rank:
        own = matrix[:, bought]
        own = own @ scipy.sparse.diags(own.getnnz(axis=0).astype(np.float32) ** -DAMPING)
        left, size, right = randomized_svd(own, rank, n_iter=3, random_state=seed)
        out.customers[:, :rank] = left * np.sqrt(size)
        out.items[bought, :rank] = right.T * np.sqrt(size)
    return out


def stacked_tastes(parts: Sequence[Taste]) -> Taste:
    """The tastes of several windows in one, as their tables are stacked."""
    return Taste(np.concatenate([p.customers for p in parts]), np.concatenate([p.items for p in parts]))


def _by_code(values: Floats, codes: NDArray[np.int32], rows: int) -> Floats:
    out = np.zeros((rows, values.shape[1]), np.float32)
    own = codes >= FIRST_CODE
    out[codes[own]] = values[own]
    return out
