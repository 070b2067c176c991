"""From a Kafka record to a request as understood, or to what is wrong with it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from serving.visitors import Visit
from streams.contracts.codec import decode_request
from streams.contracts.events import microseconds
from streams.contracts.operations import Reason
from streams.contracts.rejection import Rejected
from streams.contracts.requests import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, RecommendationRequest

LATEST_AS_OF = 7_258_118_400_000_000  # the year 2200
MAX_ID = 128

Headers = Sequence[tuple[str, str | bytes | None]] | None


@dataclass(frozen=True)
class Position:
    """Where a record is, and its Kafka timestamp, or when a request came otherwise, in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: float


@dataclass(frozen=True)
class Address:
    """Where a reply goes; `partition` None leaves it to the key."""

    topic: str
    partition: int | None = None


@dataclass(frozen=True)
class Asked:
    """A request: what, by whom, where it came from and where its answer goes.

    `as_of` in microseconds since the epoch, None for "now". `correlation_id` falls back to the request's
    `request_id`, then to the recommendation id. `visit` is what a visitor without a row did; None for a customer.
    """

    request: RecommendationRequest
    position: Position
    reply_to: Address
    correlation_id: str
    recommendation_id: str
    as_of: int | None
    visit: Visit | None = None


@dataclass(frozen=True)
class Refused:
    """A record that is no request; `correlation_id` and `reply_to` as far as they could be read."""

    why: Rejected
    position: Position
    reply_to: Address
    correlation_id: str | None
    recommendation_id: str


def recommendation_id(position: Position) -> str:
    """The id of the answer to a record: a redelivered record is answered under the same id."""
    name = f"{position.topic}/{position.partition}/{position.offset}/{position.timestamp}"
    return blake2b(name.encode(), digest_size=12).hexdigest()


class Inbox:
    """Understands records of the requests' topic.

    Parameters
    ----------
    default_reply
        Topic of answers to requests that name none.
    prefixes
        What a named reply topic must begin with.
    has_category
        Does the shop's profile name a category? Requests for categories are refused otherwise.
    """

    def __init__(self, default_reply: str, prefixes: Sequence[str], has_category: bool) -> None:
        self._default = Address(default_reply)
        self._prefixes = tuple(prefixes)
        self._has_category = has_category

    def read(self, value: bytes | None, headers: Headers, position: Position) -> Asked | Refused:
        """Understand one record."""
        named = {name: _text(content) for name, content in headers or ()}
        answer_id = recommendation_id(position)
        correlation_id = named.get(CORRELATION_ID) or None
        reply_to = self._default
        try:
            if correlation_id is not None and len(correlation_id) > MAX_ID:
                correlation_id = None
                raise Rejected(Reason.BAD_ID, f"header {CORRELATION_ID} is longer than {MAX_ID} characters")
            reply_to = self._address(named)
            request = decode_request(value)
            correlation_id = correlation_id or request.request_id or None
            as_of = self._check(request)
        except Rejected as why:
            return Refused(why, position, reply_to, correlation_id, answer_id)
        return Asked(request, position, reply_to, correlation_id or answer_id, answer_id, as_of)

    def _address(self, named: dict[str, str]) -> Address:
        topic, partition = named.get(REPLY_TO), named.get(REPLY_PARTITION)
        if topic and not topic.startswith(self._prefixes):
            raise Rejected(
                Reason.OUT_OF_RANGE,
                f"header {REPLY_TO} is {topic[:80]!r}; it must begin with {' or '.join(self._prefixes)}",
            )
        if partition and not (partition.isascii() and partition.isdigit() and len(partition) <= 9):
            raise Rejected(
                Reason.OUT_OF_RANGE, f"header {REPLY_PARTITION} is {partition[:80]!r}; it must be a partition number"
            )
        return Address(topic or self._default.topic, int(partition) if partition else None)

    def _check(self, request: RecommendationRequest) -> int | None:
        if request.categories and not self._has_category:
            raise Rejected(Reason.OUT_OF_RANGE, "categories are asked for, but the shop's profile names no category")
        if request.as_of is None:
            return None
        as_of = microseconds(request.as_of)
        if not 0 <= as_of <= LATEST_AS_OF:
            raise Rejected(Reason.ABSURD_TIME, f"field 'as_of' is {request.as_of}; it must lie in 1970 .. 2200")
        return as_of


class Answered:
    """The correlation ids answered lately, so that a request that was sent twice is answered once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, correlation_id: str) -> bool:
        """Remember an id; False where it was there already."""
        if correlation_id in self._ids:
            self._ids.move_to_end(correlation_id)
            return False
        self._ids[correlation_id] = None
        if len(self._ids) > self._size:
            self._ids.popitem(last=False)
        return True


def _text(content: str | bytes | None) -> str:
    if content is None:
        return ""
    return content if isinstance(content, str) else content.decode(errors="replace")
