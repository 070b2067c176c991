"""A client of the gateway: `HeadwaterClient`, and `AsyncHeadwaterClient` for asyncio. docs/api.md shows it at work."""

from serving.gateway.messages import ExplainedAnswer, ItemList, ListedItem, VisitEvent, VisitRequest
from serving.rest_client.answers import (
    Accepted,
    Key,
    NewKey,
    Page,
    Readiness,
    Rejection,
    Scope,
    Stored,
    Token,
)
from serving.rest_client.client import AsyncHeadwaterClient, HeadwaterClient
from serving.rest_client.errors import (
    ConflictError,
    HeadwaterError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    UnreadableError,
)
from serving.rest_client.publishing import interaction
from serving.similar.answers import SimilarAnswer, SimilarItem

__all__ = [
    "Accepted",
    "AsyncHeadwaterClient",
    "ConflictError",
    "ExplainedAnswer",
    "HeadwaterClient",
    "HeadwaterError",
    "ItemList",
    "Key",
    "ListedItem",
    "NewKey",
    "NotFoundError",
    "Page",
    "Readiness",
    "RefusedError",
    "Rejection",
    "Scope",
    "SimilarAnswer",
    "SimilarItem",
    "Stored",
    "Token",
    "UnreachableError",
    "UnreadableError",
    "VisitEvent",
    "VisitRequest",
    "interaction",
]
