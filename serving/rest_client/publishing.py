"""Calls that tell what customers did."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from serving.rest_client.answers import Accepted
from serving.rest_client.call import Call, answer, named, target
from streams.contracts.codec import encode
from streams.contracts.events import Interaction, InteractionType


def interaction(customer_id: str, item_id: str, type: InteractionType | str, **fields: Any) -> Interaction:
    """An interaction that happens now: its id and time are made here, `fields` are the others of `Interaction`."""
    made: dict[str, Any] = {"event_id": uuid.uuid4().hex, "timestamp": time.time_ns() // 1_000_000}
    return Interaction(customer_id=customer_id, item_id=item_id, type=InteractionType(type), **(made | fields))


def publish(event: Interaction, *, idempotency_key: str | None = None) -> Call[Accepted]:
    """Tell one interaction. The same `event_id` told twice counts once, so it may be sent again."""
    return Call("POST", target("interactions"), answer(Accepted), encode(event), named(idempotency_key))


def publish_many(events: Sequence[Interaction], *, idempotency_key: str | None = None) -> Call[Accepted]:
    """Tell many interactions; the answer says by index which were not taken, and why."""
    where = target("interactions", "bulk")
    return Call("POST", where, answer(Accepted), encode({"interactions": events}), named(idempotency_key))
