"""What a request's context is worth: customers asked at their next visit, telling where they are and telling nothing.

The stack has seen nothing after the cut; from after it comes what a request tells, when and where, as a till or an app
would tell it, and what was bought.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.contracts.events import InteractionType
from trainer.evaluation.metrics import METRICS, Lists, bootstrap, judge
from trainer.evaluation.protocol import Split
from trainer.evaluation.served import Client, Visit, ask


class Beyond(NamedTuple):
    """What is needed to ask for more than ranking: each item's category, each customer's next visit."""

    category: Mapping[str, str]
    visits: Mapping[str, Visit]


def next_visits(interactions: pa.Table, cut: int) -> dict[str, Visit]:
    """Each customer's first purchase after the cut, microseconds since the epoch; `interactions` as a source's are."""
    later = pc.and_(
        pc.greater(interactions["time"], cut), pc.equal(interactions["type"], InteractionType.PURCHASE.value)
    )
    found = interactions.select(["customer_id", "time", "context"]).filter(later).sort_by("time")
    out: dict[str, Visit] = {}
    for customer, at, context in zip(*(column.to_pylist() for column in found.columns), strict=True):
        if customer not in out:
            out[customer] = Visit(at, msgspec.json.decode(context, type=dict[str, str]))
    return out


def worth(client: Client, split: Split, visits: Mapping[str, Visit], seed: int) -> dict[str, Any]:
    """Judge the lists over all items at the customers' next visits.

    Returns
    -------
    ``customers`` asked; of ``silent`` requests and of those that were ``told`` the context, and of ``difference``,
    customer by customer: ``ndcg_at_10`` and ``map_at_12``, each beside its interval. None of it where no visit has a
    context.
    """
    truth = {customer: split.truth[customer] for customer in sorted(split.truth) if visits[customer].context}
    if not truth:
        return {"customers": 0}

    def lists(visits: Mapping[str, Visit]) -> Lists:
        return ask(client, list(truth), split.cut, novel=False, visits=visits).lists

    silent = judge(lists({name: visit._replace(context={}) for name, visit in visits.items()}), truth).metrics()
    told = judge(lists(visits), truth).metrics()
    difference = {name: told[name] - silent[name] for name in METRICS}

    def row(values: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]) -> dict[str, Any]:
        found = {name: bootstrap(values[name], seed) for name in ("ndcg_at_10", "map_at_12")}
        return {name: each.mean for name, each in found.items()} | {
            f"{name}_interval": [each.low, each.high] for name, each in found.items()
        }

    return {"customers": len(truth), "silent": row(silent), "told": row(told), "difference": row(difference)}
