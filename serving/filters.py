"""Filters: which items an answer must not hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.catalogue import Catalogue
from serving.candidates import Rows


class FilterError(ValueError):
    """A filter that cannot be applied to this shop; the message says what to change."""


@dataclass(frozen=True)
class Filter:
    """What one request wants left out.

    excluded: int64[k] catalogue rows. category: the item attribute that `categories` are values of, "" for none
    in the shop. categories: int64[j] its codes that may appear; None for all.
    """

    excluded: Rows
    category: str = ""
    categories: NDArray[np.int64] | None = None

    def allowed(self, rows: Rows, catalogue: Catalogue) -> NDArray[np.bool_]:
        """bool[len(rows)]: is the item available, not excluded and of a wanted category?"""
        keep: NDArray[np.bool_] = catalogue.available[rows]
        if len(self.excluded):
            keep &= ~np.isin(rows, self.excluded)
        if self.categories is not None:
            keep &= np.isin(catalogue.attribute(self.category)[rows], self.categories)
        return keep

    def first(self, order: Rows, catalogue: Catalogue, limit: int) -> Rows:
        """The first `limit` allowed rows of a long list, looking no further into it than needed."""
        step = max(2 * limit, 256)
        block = order[:step]
        found = block[self.allowed(block, catalogue)]
        while len(found) < limit and step < len(order):
            block, step = order[step : 5 * step], 5 * step
            found = np.concatenate([found, block[self.allowed(block, catalogue)]])
        return found[:limit]


def build(
    catalogue: Catalogue,
    category: str,
    exclude_items: Collection[str] = (),
    categories: Collection[str] = (),
    purchased: Rows | None = None,
) -> Filter:
    """The filter of a request; `purchased` are the rows to leave out because the customer holds them.

    Raises FilterError where categories are asked for and the shop's profile names no category.
    """
    rows = [row for row in map(catalogue.row, exclude_items) if row is not None]
    excluded = np.array(rows, np.int64)
    if purchased is not None:
        excluded = np.concatenate([excluded, purchased])
    if not categories:
        return Filter(excluded)
    if not category:
        raise FilterError("the shop's profile names no category: leave `categories` out of the request")
    wanted = frozenset(categories)
    codes = [code for code, value in enumerate(catalogue.codes[category].values) if value in wanted]
    return Filter(excluded, category, np.array(codes, np.int64))
