"""What the gateway's handlers share; made once at the start, reached through `Deps`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from feature_repo.record_store import Kind, RecordStore
from feature_repo.redis_commands import Client
from serving.engine import Engine
from serving.gateway.answering import Answering
from serving.gateway.publishing import Publishing
from serving.gateway.readiness import Ready
from serving.gateway.security.security import Security
from serving.gateway.served_log import ServedLog
from serving.gateway.settings import GatewaySettings
from serving.similar.similar_items import SimilarItems


@dataclass
class Gateway:
    """All that handlers need.

    Attributes
    ----------
    engine
        Items, live model and online store.
    answering
        Has recommendations made, for now.
    aside
        The same for what takes longer than an answer for now, which must not wait for it: answers for another moment,
        for which all items may have to be put in order first, and explanations.
    served
        Answers as they were given.
    ready
        Tells whether the process can do its work.
    redis
        For records and rate limits; its calls block, so they belong into a thread.
    publishing
        Writes to the shop's topics.
    security
        Who may do what.
    similar
        Similar items; None where they are not kept here.
    """

    settings: GatewaySettings
    engine: Engine
    answering: Answering
    aside: Answering
    served: ServedLog
    ready: Ready
    redis: Client
    publishing: Publishing
    security: Security
    similar: SimilarItems | None = None

    def records(self, kind: Kind) -> RecordStore:
        """Records of customers or items, as their topics told them."""
        return RecordStore(self.redis, kind)


async def gateway(request: Request) -> Gateway:
    """What `make_app` was given; in the event loop, for FastAPI calls what is not async in another thread."""
    found: Gateway = request.app.state.gateway
    return found


Deps = Annotated[Gateway, Depends(gateway)]
