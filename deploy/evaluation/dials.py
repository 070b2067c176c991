"""What the dials of a request cost: the same lists asked for again, more diverse or newer, and judged."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.evaluation.metrics import AT, Lists, bootstrap, coverage, judge
from trainer.evaluation.metrics import diversity as intra_list_diversity
from trainer.evaluation.protocol import Split
from trainer.evaluation.served import Client, ask

DIVERSITY = (0.2, 0.4, 0.6, 0.8)
NOVELTY = (0.2, 0.4, 0.6, 0.8, 1.0)


def prices(client: Client, split: Split, plain: Lists, category: Mapping[str, str], seed: int) -> dict[str, Any]:
    """Judge the lists over all items at each position of each dial.

    Parameters
    ----------
    plain
        The lists with both dials at 0.
    category
        Of items.

    Returns
    -------
    For ``diversity`` and ``novelty`` a row for each position, from 0 on: ``at``, ``ndcg_at_10`` with its interval,
    ``diversity_at_10`` (share of pairs of different categories), ``new_share_at_10`` (never bought before by the
    customer) and ``coverage_at_10``.
    """
    customers = sorted(split.truth)
    bought = split.past.by_customer()

    def row(at: float, lists: Lists) -> dict[str, Any]:
        judged = judge(lists, split.truth)
        found = bootstrap(judged.metrics()["ndcg_at_10"], seed)
        new = [np.mean([item not in bought[c] for item in lists[c][:AT]]) for c in customers if lists.get(c)]
        return {
            "at": at,
            "ndcg_at_10": found.mean,
            "ndcg_at_10_interval": [found.low, found.high],
            "diversity_at_10": float(intra_list_diversity(lists, customers, category).mean()),
            "new_share_at_10": float(np.mean(new)),
            "coverage_at_10": coverage(lists, len(split.past.items)),
        }

    def asked(diversity: float = 0.0, novelty: float = 0.0) -> Lists:
        return ask(client, customers, split.cut, novel=False, diversity=diversity, novelty=novelty).lists

    return {
        "diversity": [row(0.0, plain), *(row(at, asked(diversity=at)) for at in DIVERSITY)],
        "novelty": [row(0.0, plain), *(row(at, asked(novelty=at)) for at in NOVELTY)],
    }
