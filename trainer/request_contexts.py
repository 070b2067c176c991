"""What requests would have told in a window: the circumstances of what was bought in it.

Nobody keeps what a request told when the data is a shop's history. A customer who bought was there, at that time, and
is taken to have asked just then. Half of them ask without a word, so that the model learns lists made ahead, too.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from feature_repo.customer_state import EventType
from feature_repo.materialise import Columns
from feature_repo.request_context import request_columns
from trainer.inputs import Inputs

_NOTHING: dict[str, str] = {}


def asked(inputs: Inputs, split_at: int, until_at: int) -> Columns:
    """The request columns of all the log's customers in `(split_at, until_at]`, microseconds since the epoch.

    A customer's are those of the context and the time of its first purchase in it; unknown for half of the customers,
    and for who bought nothing.
    """
    events = inputs.log.events
    inside = np.flatnonzero((events.time > split_at) & (events.time <= until_at) & (events.type == EventType.PURCHASE))
    order = inside[np.lexsort((events.event[inside], events.time[inside], events.customer[inside]))]
    who, first = np.unique(events.customer[order], return_index=True)
    spoken = speaks([inputs.log.customer_ids[customer] for customer in who.tolist()], split_at)
    contexts, instants = [_NOTHING] * len(inputs.log.customer_ids), np.zeros(len(inputs.log.customer_ids), np.int64)
    chosen = order[first[spoken]]
    for customer, context in zip(who[spoken].tolist(), inputs.contexts.of(events.event[chosen]), strict=True):
        contexts[customer] = context
    instants[who[spoken]] = events.time[chosen]
    return request_columns(inputs.shop, contexts, instants)


def speaks(customer_ids: list[str], split_at: int) -> NDArray[np.bool_]:
    """bool[n]: who tells a context in the window, by the id and the window's split alone."""
    salt = split_at.to_bytes(8, "big", signed=True)
    digests = (blake2b(c.encode(), digest_size=1, salt=salt, person=b"speaks").digest()[0] for c in customer_ids)
    return np.fromiter((digest % 2 == 0 for digest in digests), dtype=bool, count=len(customer_ids))


def told(inputs: Inputs) -> tuple[Columns, NDArray[np.float64]]:
    """The request columns of every distinct context that a purchase carries, and float64[n]: of how many purchases."""
    events = inputs.log.events
    bought = events.event[events.type == EventType.PURCHASE]
    _, first, count = np.unique(inputs.contexts.place[bought], return_index=True, return_counts=True)
    distinct = inputs.contexts.of(bought[first])
    return request_columns(inputs.shop, distinct, np.zeros(len(distinct), np.int64)), count.astype(np.float64)
