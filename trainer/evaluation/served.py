"""The lists that count: what the running service answers for the customers of the truth, at the cut."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streams.contracts.events import instant
from streams.contracts.requests import RecommendationRequest, Reply, Status
from trainer.evaluation.metrics import AT_MAP

PATIENCE_MS = 60_000
"""Deadline of an evaluation's requests: how good answers are is asked here, not how fast they come."""


class Visit(NamedTuple):
    """When a customer asks, microseconds since the epoch, and in what circumstances."""

    at: int
    context: Mapping[str, str]


class Received(Protocol):
    """A reply beside its request and the milliseconds it took."""

    @property
    def request(self) -> RecommendationRequest:
        """What was asked."""

    @property
    def reply(self) -> Reply:
        """What was answered."""

    @property
    def milliseconds(self) -> float:
        """From sending the one to holding the other."""


class Client(Protocol):
    """Who asks: `serving.client.RecommendationClient`, or anything like it."""

    def recommend_many(self, requests: Iterable[RecommendationRequest], concurrency: int = ...) -> Iterator[Received]:
        """Ask for many at a time."""


class LeakageError(RuntimeError):
    """The service has seen what it is asked to foretell."""


@dataclass
class Served:
    """Answers.

    Attributes
    ----------
    lists
        Recommended items by customer, best first.
    scores
        The same items' scores: the probability, as the model says, that they are bought.
    milliseconds
        Of each answer, in the order of arrival.
    fallbacks
        How many answers were not the full model's, by reason.
    versions
        Model versions that answered.
    """

    lists: dict[str, list[str]] = field(default_factory=dict)
    scores: dict[str, list[float]] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)
    fallbacks: Counter[str] = field(default_factory=Counter)
    versions: set[int] = field(default_factory=set)


def ask(
    client: Client,
    customers: Sequence[str],
    cut: int,
    novel: bool,
    concurrency: int = 32,
    diversity: float = 0.0,
    novelty: float = 0.0,
    visits: Mapping[str, Visit] | None = None,
) -> Served:
    """Ask the service for each customer's list as of the cut, or of a visit of theirs.

    Parameters
    ----------
    cut
        Microseconds since the epoch.
    novel
        Whether to leave out what the customer has bought before.
    concurrency
        Requests under way at a time.
    diversity, novelty
        The dials of `RecommendationRequest`.
    visits
        By customer; whatever they are, the service must have seen nothing after the cut.

    Raises
    ------
    LeakageError
        When an answer made use of an interaction after the cut.
    RuntimeError
        When the service answers with an error, or not for every customer.
    """
    nowhere: dict[str, Visit] = dict.fromkeys(customers, Visit(cut, {}))
    asked = nowhere if visits is None else visits
    requests = (
        RecommendationRequest(
            customer_id=customer,
            n=AT_MAP,
            as_of=instant(asked[customer].at),
            context=dict(asked[customer].context),
            exclude_purchased=novel,
            deadline_ms=PATIENCE_MS,
            diversity=diversity,
            novelty=novelty,
        )
        for customer in customers
    )
    served = Served()
    for received in client.recommend_many(requests, concurrency=concurrency):
        reply = received.reply
        _check(reply, cut)
        served.lists[reply.customer_id] = [item.item_id for item in reply.items]
        served.scores[reply.customer_id] = [item.score for item in reply.items]
        served.milliseconds.append(received.milliseconds)
        if reply.status is Status.FALLBACK:
            served.fallbacks[reply.reason or "unknown"] += 1
        if reply.model_version is not None:
            served.versions.add(reply.model_version)
    missing = sorted(set(customers) - served.lists.keys())
    if missing:
        raise RuntimeError(f"{len(missing)} customers were not answered, {missing[0]!r} among them")
    return served


def _check(reply: Reply, cut: int) -> None:
    if reply.status is Status.ERROR:
        said = reply.error.message if reply.error else "no reason given"
        raise RuntimeError(f"the service failed on customer {reply.customer_id!r}: {said}")
    newest = reply.seen.last_event_at if reply.seen else None
    if newest is not None and newest * 1000 > cut:
        raise LeakageError(
            f"the service has seen an interaction of customer {reply.customer_id!r} of {instant(newest * 1000)}, after "
            f"the cut {instant(cut)}: evaluate before replaying what comes after it"
        )
