"""What similar items are worth on real baskets that came after everything they were made from.

Asked of each item of a basket: does the list beside it hold something that the same customer buys in the next basket?
And, for what is bought together: does it hold something else of the same basket?
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from feature_repo.ragged import Int64, select
from streams.sources.source import Source
from trainer.similarity.baskets import Baskets
from trainer.similarity.reading import COLUMNS, read

AT = 10
Lists = Callable[[str], Sequence[str]]
"""The ids beside an item, best first."""


def later_baskets(source: Source, cut: int, until: int | None = None) -> Baskets:
    """Baskets of a source that were bought after `cut` and before `until`, microseconds since the epoch."""
    return read(chunk.select(list(COLUMNS)) for chunk in source.chunks(cut + 1, until))


def best_sellers(baskets: Baskets, n: int = 10) -> set[str]:
    """The items that are in most baskets."""
    return {baskets.item_ids[row] for row in np.argsort(-baskets.counts, kind="stable")[:n].tolist()}


def lists_with(items: set[str], lists: Iterable[Sequence[str]]) -> float:
    """Share of the full lists that hold one of some items."""
    full = [not items.isdisjoint(each) for each in lists if len(each) == AT]
    return sum(full) / max(len(full), 1)


def category_popular(baskets: Baskets, category: Mapping[str, str]) -> Lists:
    """The baseline: what is in most baskets of an item's category."""
    order = np.argsort(-baskets.counts, kind="stable").tolist()
    best: dict[str, list[str]] = {}
    for row in order:
        item = baskets.item_ids[row]
        held = best.setdefault(category.get(item, ""), [])
        if len(held) <= AT:
            held.append(item)
    return lambda item: [each for each in best.get(category.get(item, ""), []) if each != item][:AT]


class Judged:
    """Lists of all items that are asked about, held against baskets."""

    def __init__(self, baskets: Baskets, lists: Lists) -> None:
        self._baskets = baskets
        self._number = {item: row for row, item in enumerate(baskets.item_ids)}
        self._beside = np.full((len(baskets.item_ids), AT), -1, np.int64)
        for row in np.unique(baskets.items).tolist():
            numbers = [self._number.get(each, -2) for each in lists(baskets.item_ids[row])[:AT]]
            self._beside[row, : len(numbers)] = numbers

    def next_baskets(self) -> dict[str, float]:
        """Share of a basket's items whose list holds something of the customer's next basket.

        Returns
        -------
        dict
            ``hit_rate``: over items of baskets. ``hit_rate_new``: the same, of what the basket itself had not.
            ``baskets_hit_rate``: share of baskets of which any item's list has one.
        """
        b = self._baskets
        now = np.flatnonzero(b.customer[1:] == b.customer[:-1])
        rows, offsets = select(b.offsets, now)
        coming, ends = select(b.offsets, now + 1)
        turn = np.repeat(np.arange(len(now)), np.diff(offsets))
        has = self._hits(b.items[rows], turn, b.items[coming], np.repeat(np.arange(len(now)), np.diff(ends)))
        old = self._hits(b.items[rows], turn, b.items[rows], turn)
        any_hit = np.bincount(turn, weights=has.any(axis=1), minlength=len(now)) > 0
        return {
            "hit_rate": float(has.any(axis=1).mean()),
            "hit_rate_new": float((has & ~old).any(axis=1).mean()),
            "baskets_hit_rate": float(any_hit.mean()),
        }

    def same_basket(self) -> dict[str, float]:
        """Share of items in baskets of several whose list holds something else of the basket."""
        b = self._baskets.where(self._baskets.sizes > 1)
        turn = np.repeat(np.arange(len(b)), b.sizes)
        has = self._hits(b.items, turn, b.items, turn)
        lists = self._beside[np.unique(b.items)]
        return {
            "hit_rate": float(has.any(axis=1).mean()),
            "precision": float(has.sum() / max((self._beside[b.items] != -1).sum(), 1)),
            "distinct_items_shown": float(len(np.unique(lists[lists >= 0]))),
        }

    def _hits(self, asked: Int64, turn: Int64, items: Int64, of_turn: Int64) -> NDArray[np.bool_]:
        """bool[len(asked), AT]: which of the list beside each item asked about is among the items of its turn."""
        n = len(self._baskets.item_ids)
        wanted = np.unique(of_turn * n + items)
        keys = turn[:, None] * n + self._beside[asked]
        at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
        found: NDArray[np.bool_] = (wanted[at] == keys) & (self._beside[asked] >= 0)
        return found


def same_value(items: Sequence[str], lists: Lists, value: Mapping[str, str]) -> float:
    """Of all that is shown beside the items, the share that has the item's own value of an attribute."""
    same = shown = 0
    for item in items:
        if value.get(item):
            beside = lists(item)[:AT]
            same += sum(value.get(each) == value[item] for each in beside)
            shown += len(beside)
    return same / max(shown, 1)
