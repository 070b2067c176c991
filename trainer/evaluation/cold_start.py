"""Cold start: how good lists are for customers of whom little is known, and what becomes of items that are new."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.evaluation.metrics import AT, Lists
from trainer.evaluation.protocol import DAY, HORIZON, Split
from trainer.evaluation.ranking import Scored

FEWEST = (1, 4, 11, 31)
"""Groups of customers begin at so many shopping days before the cut."""


def by_history(split: Split, served: Scored, others: Mapping[str, Scored]) -> list[dict[str, Any]]:
    """nDCG@10 over all items of the served lists, and of the best baseline there, by the customers' shopping days."""
    days = _shopping_days(split)
    groups = np.searchsorted(FEWEST, [days[customer] for customer in sorted(split.truth)], side="right") - 1
    out = []
    for group, least in enumerate(FEWEST):
        own = groups == group
        if not own.any():
            continue
        means = {name: float(each.values["ndcg_at_10"][own].mean()) for name, each in others.items()}
        best = max(means, key=means.__getitem__, default=None)
        out.append(
            {
                "shopping_days": [least, FEWEST[group + 1] - 1 if group + 1 < len(FEWEST) else None],
                "customers": int(own.sum()),
                "served": float(served.values["ndcg_at_10"][own].mean()),
                "best_baseline": best,
                "best_baseline_ndcg_at_10": None if best is None else means[best],
            }
        )
    return out


def new_items(split: Split, novel: Lists) -> dict[str, Any]:
    """What becomes of items that were first bought in the last 20 days before the cut, in the lists of novel items.

    Returns
    -------
    ``items``: how many there are; ``share_at_10`` and ``share_of_truth``: their share of what is shown and of what is
    bought; ``precision_at_10`` and ``precision_of_others_at_10``: how often either is bought where it is shown.
    """
    past = split.past
    first = np.full(len(past.items), np.iinfo(np.int64).max)
    np.minimum.at(first, past.item, past.time)
    new = {past.items[row] for row in np.flatnonzero(first > split.cut - HORIZON).tolist()}
    shown = [(c, item) for c in split.novel_truth for item in list(novel.get(c, ()))[:AT]]
    hits = {True: 0, False: 0}
    places = {True: 0, False: 0}
    for customer, item in shown:
        places[item in new] += 1
        hits[item in new] += item in split.novel_truth[customer]
    bought = [item in new for items in split.novel_truth.values() for item in items]
    return {
        "items": len(new),
        "share_at_10": places[True] / len(shown) if shown else None,
        "share_of_truth": sum(bought) / len(bought) if bought else None,
        "precision_at_10": hits[True] / places[True] if places[True] else None,
        "precision_of_others_at_10": hits[False] / places[False] if places[False] else None,
    }


def _shopping_days(split: Split) -> dict[str, int]:
    past = split.past
    day = past.time // DAY
    pairs = np.unique(past.customer * (int(day.max()) + 1) + day) // (int(day.max()) + 1)
    return dict(zip(past.customers, np.bincount(pairs, minlength=len(past.customers)).tolist(), strict=True))
