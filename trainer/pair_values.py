"""The pair columns of a window: one way for training, the exam and the thesis's comparison."""

from __future__ import annotations

import numpy as np

from feature_repo.histories import Histories
from feature_repo.materialise import Columns, pair_columns
from feature_repo.ragged import lengths_to_offsets, select
from feature_repo.taste import Taste
from trainer.inputs import Inputs
from trainer.windows import Int64, Pairs, Window


def pair_values(inputs: Inputs, window: Window, pairs: Pairs, taste: Taste | None = None) -> Columns:
    """The pair columns of pairs that are sorted by customer; `taste`: another than the window's own."""
    who = np.unique(pairs.customer)
    offsets = lengths_to_offsets(np.unique(pairs.customer, return_counts=True)[1])
    own = _histories(window, who)
    trending, at = window.trend[pairs.item], window.span.split_at
    columns = pair_columns(inputs.shop, own, pairs.item, offsets, inputs.catalogue, trending, at)
    taste = taste or window.taste
    return columns | {"taste": taste.pairs(taste.customers(window.affinities), pairs.customer, pairs.item)}


def _histories(window: Window, who: Int64) -> Histories:
    h = window.histories
    lines, offsets = select(h.offsets, who)
    recent, recent_offsets = select(h.recent_offsets, who)
    return Histories(h.lines[lines], offsets, h.recent[recent], recent_offsets)
