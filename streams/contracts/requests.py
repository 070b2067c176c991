"""Asking for recommendations and answering: requests, replies, and the record kept of each answer."""

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from streams.contracts.events import Id, Timestamp

CORRELATION_ID = "correlation_id"
REPLY_TO = "reply_to"
REPLY_PARTITION = "reply_partition"
"""Kafka headers of a request. `correlation_id` comes back as a header and in the body, `reply_to` names the
reply's topic (default `recommendations`), `reply_partition` its partition in digits (default: by key)."""


class RecommendationRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What should this customer see? Topic `recommendation-requests`, best keyed by `customer_id`.

    Attributes
    ----------
    n: how many items, 1 to 200.
    as_of: answer as if it were this instant; default now (the stream's newest event in replays).
    context: circumstances such as store, channel or device; an input of the model, recorded with the answer.
    exclude_items: never in the answer.
    exclude_purchased: leave out what this customer has bought before.
    categories: only items whose category is one of these; empty means all.
    deadline_ms: milliseconds after the record's Kafka timestamp at which the answer is no use any more.
    diversity: 0 to 1: how much an item counts for less, the more it is like those before it.
    novelty: 0 to 1: the share of the answer, at least, that this customer has never bought, as far as there is such.
    explain: add to each item why it is there.
    request_id: correlation id for clients that can't set headers; the header wins.
    """

    customer_id: Id
    n: Annotated[int, Meta(ge=1, le=200)] = 10
    as_of: Timestamp | None = None
    context: dict[str, str] = {}
    exclude_items: Annotated[list[Id], Meta(max_length=1000)] = []
    exclude_purchased: bool = False
    categories: Annotated[list[str], Meta(max_length=100)] = []
    deadline_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 1000
    diversity: Annotated[float, Meta(ge=0, le=1)] = 0.0
    novelty: Annotated[float, Meta(ge=0, le=1)] = 0.0
    explain: bool = False
    request_id: Id | None = None


class Status(enum.StrEnum):
    """How an answer came about."""

    OK = "ok"
    FALLBACK = "fallback"
    ERROR = "error"


class Source(enum.StrEnum):
    """Who proposed an item as a candidate: nearest in the model, bought before, bought much by everybody in the last
    weeks, looked at in this session, looked at much by everybody in the last hours, or spoken for by what is held.
    """

    TWO_TOWER = "two_tower"
    HISTORY = "history"
    TRENDING = "trending"
    SESSION = "session"
    HOT = "hot"
    TASTE = "taste"


class FallbackReason(enum.StrEnum):
    """Why an answer is not the full model's."""

    UNKNOWN_CUSTOMER = "unknown_customer"
    MISSING_FEATURES = "missing_features"
    MODEL_UNAVAILABLE = "model_unavailable"
    DEADLINE = "deadline"


class RecommendedItem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One item of an answer, best first.

    `score`: how likely, as the model says, the customer buys it in the next weeks; in a fallback it only orders items.
    """

    item_id: str
    score: float
    sources: list[Source] = []
    name: str | None = None
    explanation: dict[str, float] | None = None


class Seen(msgspec.Struct, kw_only=True):
    """How far in the customer's interactions the answer saw: the newest one used; milliseconds."""

    partition: int
    offset: int
    last_event_at: int | None = None


class Timings(msgspec.Struct, kw_only=True):
    """Milliseconds by stage. `queue` runs from the request's Kafka timestamp to its start."""

    queue: float = 0.0
    features: float = 0.0
    retrieve: float = 0.0
    candidates: float = 0.0
    score: float = 0.0
    total: float = 0.0


class ReplyError(msgspec.Struct, kw_only=True):
    """What was wrong with a request, in a code for programs and a sentence for people."""

    code: str
    message: str


class Reply(msgspec.Struct, kw_only=True):
    """The answer to one request; at least once, so deduplicate by `correlation_id`. `as_of`: ms."""

    correlation_id: str
    recommendation_id: str
    customer_id: str
    status: Status
    items: list[RecommendedItem]
    reason: str | None = None
    model_version: int | None = None
    as_of: int | None = None
    seen: Seen | None = None
    timings_ms: Timings = msgspec.field(default_factory=Timings)
    error: ReplyError | None = None


class ScoredFeatures(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The ranker's inputs for the answered items, in the order of the answer, after encoding.

    `categorical`: int[n_items][n_categorical], `continuous`: float[n_items][n_continuous].
    """

    categorical: list[list[int]]
    continuous: list[list[float]]


class ServedRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An answer as it was given: for attribution, explanation and skew checks. Topic `served`.

    `served_at` in milliseconds; `request` as it was understood; `features` as they were scored.
    """

    recommendation_id: str
    correlation_id: str
    customer_id: str
    served_at: int
    request: RecommendationRequest
    reply: Reply
    features: ScoredFeatures | None = None
