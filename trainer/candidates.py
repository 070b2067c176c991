"""Candidates at a past split, found and merged as serving does it, so that the ranker learns to tell them apart."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from feature_repo.ragged import lengths_to_offsets
from feature_repo.taste import Taste
from serving.candidates import LIMITS, Limits, Source, merge
from serving.hot_items import ordered
from serving.session_items import session_items
from serving.trending import trending
from trainer.windows import Int64, Pairs, Window


class Retriever(Protocol):
    """The two-tower as a source of candidates."""

    def nearest(self, window: Window, customers: Int64, k: int) -> Int64:
        """int64[n, k]: each customer's k nearest catalogue rows, best first; -1 where there are fewer."""
        ...


def candidates(
    window: Window,
    keys: NDArray[np.uint64],
    customers: Int64,
    retriever: Retriever | None,
    taste: Taste | None = None,
    limits: Limits = LIMITS,
) -> Pairs:
    """What serving would have scored for these customers at the window's split.

    keys: uint64[catalogue], the items' keys; customers: int64[n], ascending rows of the log's customers; taste: another
    than the window's own.
    """
    popular = trending(window.snapshot.items, keys, window.span.split_at)
    if window.categories is not None:
        popular = popular.in_categories(window.categories)
    hot = ordered(window.trend, keys).order[: limits.hot]
    near = None if retriever is None else retriever.nearest(window, customers, limits.two_tower)
    taste = taste or window.taste
    liked = taste.nearest(taste.customers(window.affinities), window.affinities, limits.taste, customers)
    rows = []
    for place, customer in enumerate(customers.tolist()):
        proposals = {
            Source.HISTORY: _history(window, customer, limits.history),
            Source.TRENDING: popular.order[: limits.trending],
            Source.SESSION: session_items(window.sessions, customer, popular, window.categories, limits.session),
            Source.HOT: hot,
            Source.TASTE: liked[place],
        }
        if near is not None:
            proposals[Source.TWO_TOWER] = near[place][near[place] >= 0]
        rows.append(merge(proposals, limits).rows)
    counts = np.array([len(found) for found in rows], np.int64)
    return Pairs(np.repeat(customers, counts), np.concatenate(rows) if rows else np.zeros(0, np.int64))


def offsets_by_customer(pairs: Pairs, customers: int) -> Int64:
    """int64[customers + 1]: where each customer's pairs begin."""
    return lengths_to_offsets(np.bincount(pairs.customer, minlength=customers))


def _history(window: Window, customer: int, limit: int) -> Int64:
    a = window.affinities
    own = slice(int(a.offsets[customer]), int(a.offsets[customer + 1]))
    ranked: Int64 = a.row[own][np.argsort(a.rank[own])[:limit]]
    return ranked
