"""Baskets: what a customer bought at one time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.ragged import Int64, group_starts, lengths_to_offsets, select


@dataclass(frozen=True)
class Baskets:
    """The distinct items of `b` baskets, the baskets in the order of customer and time.

    Attributes
    ----------
    item_ids
        Ids of the items, `n` of them.
    items
        int64[m]: which of these, basket by basket.
    offsets
        int64[b + 1]: where each basket begins in `items`.
    customer
        int64[b]: whose it is, as a number.
    time
        int64[b]: when its last item was bought, microseconds since the epoch.
    """

    item_ids: list[str]
    items: Int64
    offsets: Int64
    customer: Int64
    time: Int64

    def __len__(self) -> int:
        return len(self.customer)

    @property
    def sizes(self) -> Int64:
        """int64[b]: distinct items of each basket."""
        return np.diff(self.offsets)

    @property
    def counts(self) -> Int64:
        """int64[n]: baskets that hold each item."""
        return np.bincount(self.items, minlength=len(self.item_ids))

    def where(self, kept: NDArray[np.bool_]) -> Baskets:
        """The chosen baskets; item numbers stay."""
        if kept.all():
            return self
        rows, offsets = select(self.offsets, np.flatnonzero(kept))
        return Baskets(self.item_ids, self.items[rows], offsets, self.customer[kept], self.time[kept])

    def by_customers(self, lines: int) -> Iterator[Baskets]:
        """The baskets of some customers at a time, all of each: so many that they hold about so many items."""
        starts = group_starts(self.customer)
        turn = self.offsets[starts] // lines
        first = np.append(starts[group_starts(turn)], len(self))
        for start, end in zip(first.tolist(), first[1:].tolist(), strict=False):
            begin = self.offsets[start]
            yield Baskets(
                self.item_ids, self.items[begin : self.offsets[end]], self.offsets[start : end + 1] - begin,
                self.customer[start:end], self.time[start:end],
            )  # fmt: skip


def groups(baskets: Baskets, kind: Int64) -> tuple[Baskets, Int64]:
    """The baskets cut into their items of each kind, in the order of customer, kind and time.

    Parameters
    ----------
    kind
        int64[n]: the kind of each item.

    Returns
    -------
    Baskets, int64[g]
        A part of a basket that is of one kind counts as a basket of its own; the kind of each.
    """
    basket = np.repeat(np.arange(len(baskets)), baskets.sizes)
    kinds = kind[baskets.items]
    order = np.lexsort((basket, kinds, baskets.customer[basket]))  # baskets are in the order of time
    basket, kinds, items = basket[order], kinds[order], baskets.items[order]
    starts = group_starts(kinds, basket)
    offsets = lengths_to_offsets(np.diff(np.append(starts, len(items))))
    first = basket[starts]
    return Baskets(baskets.item_ids, items, offsets, baskets.customer[first], baskets.time[first]), kinds[starts]
