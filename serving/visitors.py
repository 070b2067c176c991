"""Visitors without a customer's row: what they did in this session, made into one by the kernel that makes all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from feature_repo.catalogue import Catalogue
from feature_repo.customer_features import customer_features
from feature_repo.customer_state import CustomerStates, EventType
from feature_repo.events import Events
from feature_repo.fold import fold
from feature_repo.histories import histories_of
from feature_repo.keys import event_keys, item_keys
from feature_repo.shop import Shop
from serving.customers import NO_POSITION, Customers
from streams.contracts.events import InteractionType

ANONYMOUS = "anonymous"
"""The customer of answers to visitors; the answer does not depend on it."""

SPACING = 1_000_000
"""Microseconds between events whose times nobody told."""


class Did(NamedTuple):
    """One thing that a visitor did; `at` in microseconds since the epoch, None where only the order is known."""

    item_id: str
    type: InteractionType
    at: int | None = None
    quantity: int = 1


Visit = tuple[Did, ...]
"""What one visitor did, oldest first."""


def visitors(
    visits: Sequence[Visit], ids: Sequence[str], as_of: Sequence[int], shop: Shop, catalogue: Catalogue
) -> Customers:
    """The visitors as customers of whom nothing else is known.

    visits, ids, as_of: of `n` visitors; `as_of` in microseconds since the epoch. An event without a time counts as
    one second older than the next, the last one as of `as_of`.
    """
    events = [
        (owner, did, instant if did.at is None else did.at)
        for owner, (visit, now) in enumerate(zip(visits, as_of, strict=True))
        for did, instant in zip(visit, range(now - SPACING * (len(visit) - 1), now + 1, SPACING), strict=True)
    ]
    times = np.array([at for _, _, at in events], np.int64)
    quantity = np.array([did.quantity for _, did, _ in events], np.int32)
    count = len(events)
    folded = fold(
        CustomerStates.empty(len(visits)),
        Events(
            customer=np.array([owner for owner, _, _ in events], np.int64),
            item=item_keys([did.item_id for _, did, _ in events]),
            event=event_keys([str(place) for place in range(count)]),
            type=np.array([EventType[did.type.name] for _, did, _ in events], np.int8),
            time=times,
            quantity=quantity,
            amount=np.full(count, -1, np.int32),
            weight=quantity.astype(np.float32),
            arrival=times,
            offset=np.arange(count, dtype=np.int64),
        ),
    )
    everybody = np.ones(len(visits), np.bool_)
    return Customers(
        ids=ids,
        present=everybody,
        complete=everybody,
        features=customer_features(shop, folded.states, catalogue),
        profile=dict.fromkeys(shop.customer_attributes, np.full(len(visits), "", object)),
        histories=histories_of(folded.states),
        position=np.full(len(visits), NO_POSITION, np.int64),
    )
