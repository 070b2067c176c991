"""A shop in memory that keeps the storefront's side of the bargain: what is published is in the next answer but one."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from serving.gateway.messages import Feature
from serving.rest_client import (
    Accepted,
    ExplainedAnswer,
    ItemList,
    ListedItem,
    NotFoundError,
    Page,
    Rejection,
    SimilarAnswer,
    SimilarItem,
    Stored,
)
from serving.similar.answers import Why
from serving.storefront.shop import Shop
from streams.contracts.events import Customer, Interaction, InteractionType, Item
from streams.contracts.operations import Reason
from streams.contracts.requests import (
    RecommendationRequest,
    RecommendedItem,
    Reply,
    Seen,
    Source,
    Status,
    Timings,
)
from tests.serving.storefront.groceries import groceries

WEIGHT = {InteractionType.VIEW: 1.0, InteractionType.ADD_TO_CART: 3.0, InteractionType.PURCHASE: 5.0}
AGES = ("25-34", "35-44", "45-54", "55-64")
HOUSEHOLDS = ("1 Adult", "2 Adults", "2 Adults Kids")


def _missing(what: str) -> NotFoundError:
    return NotFoundError(f"GET /{what}", 404, {"code": "not_found", "detail": f"there is no {what}"})


class FakeShop(Shop):
    """The gateway as the storefront sees it.

    Attributes
    ----------
    told
        Every interaction that was published.
    refused
        Items whose interactions are not taken.
    lag
        Answers that are given before an interaction is used.
    """

    def __init__(self, as_of_ms: int = 1_764_590_400_000, lag: int = 1) -> None:
        self.catalogue = {item.item_id: item for item in groceries()}
        self.people = [
            Customer(
                customer_id=str(1600 + 7 * n), attributes={"age": AGES[n % 4], "household_comp": HOUSEHOLDS[n % 3]}
            )
            for n in range(12)
        ]
        self.as_of_ms, self.lag = as_of_ms, lag
        self.told: list[Interaction] = []
        self.refused: set[str] = set()
        self.served: dict[str, ExplainedAnswer] = {}
        self.bought: dict[str, Counter[str]] = defaultdict(Counter)
        ids = list(self.catalogue)
        for n, person in enumerate(self.people):
            for k in range(24):
                self.bought[person.customer_id][ids[(n * 11 + k * 5) % len(ids)]] += 1 + (24 - k) // 5
        self._pending: list[tuple[int, Interaction]] = []
        self._looked: dict[str, Counter[str]] = defaultdict(Counter)
        self._last: dict[str, int] = {}

    def recommendations(self, customer_id: str, *, n: int = 10, explain: bool = False) -> Reply:
        """By what the customer bought and looked at, then by id."""
        self._use()
        bought, looked = self.bought.get(customer_id, Counter()), self._looked[customer_id]
        near = {self._category(item_id) for item_id in looked}

        def score(item_id: str) -> float:
            own = bought[item_id] + 6 * looked[item_id] + (4 if self._category(item_id) in near else 0)
            return own / (10 + own) + 0.0001 * (hash_of(item_id) % 97)

        first = sorted(self.catalogue, key=lambda item_id: (-score(item_id), item_id))[:n]
        items = [self._recommended(item_id, score(item_id), bought, looked, near, explain) for item_id in first]
        number = len(self.served)
        reply = Reply(
            correlation_id=f"c{number}", recommendation_id=f"r{number}", customer_id=customer_id, status=Status.OK,
            items=items, model_version=12, as_of=self.as_of_ms,
            seen=Seen(partition=2, offset=48_113 + len(self.told), last_event_at=self._last.get(customer_id)),
            timings_ms=Timings(queue=0.3, features=1.2, retrieve=1.9, candidates=1.4, score=3.6, total=8.2),
        )  # fmt: skip
        self.served[reply.recommendation_id] = ExplainedAnswer(
            recommendation_id=reply.recommendation_id, correlation_id=reply.correlation_id, customer_id=customer_id,
            served_at=self.as_of_ms, request=RecommendationRequest(customer_id=customer_id), reply=reply,
        )  # fmt: skip
        return reply

    def recommendation(self, recommendation_id: str, *, items: int = 10, features: int = 5) -> ExplainedAnswer:
        """What was answered, and the same features for every item."""
        if recommendation_id not in self.served:
            raise _missing(f"recommendations/{recommendation_id}")
        mattered = [
            Feature(name="pair_rhythm", group="pair", value=0.93, contribution=0.21),
            Feature(name="product_category", group="item", value="CHEESE", contribution=-0.08),
        ]
        return msgspec.structs.replace(self.served[recommendation_id], mattered=[mattered[:features]] * items)

    def trending(self, *, n: int = 10, category: str | None = None) -> ItemList:
        """Every seventh item."""
        return self._list(list(self.catalogue)[3::7], n)

    def popular(self, *, n: int = 10, category: str | None = None) -> ItemList:
        """Every item."""
        return self._list(list(self.catalogue), n)

    def similar(self, item_id: str, *, n: int = 10) -> SimilarAnswer:
        """The items of the same category, then the others."""
        others = sorted(set(self.catalogue) - {item_id}, key=lambda i: self._category(i) != self._category(item_id))
        return SimilarAnswer(
            item_id=item_id, items=[SimilarItem(item_id=other, score=0.5, because=[Why.TEXT]) for other in others[:n]]
        )

    def bought_together(self, item_id: str, *, n: int = 10) -> SimilarAnswer:
        """Items from elsewhere."""
        others = sorted(set(self.catalogue) - {item_id}, key=lambda i: hash_of(i + item_id))
        return SimilarAnswer(
            item_id=item_id,
            items=[SimilarItem(item_id=other, score=0.5, because=[Why.TOGETHER], together=17) for other in others[:n]],
        )

    def items(
        self, *, query: str | None = None, category: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[Item]:
        """By a word in the name and by category."""
        found = [
            item
            for item in self.catalogue.values()
            if (query or "").lower() in item.name.lower() and category in (None, self._category(item.item_id))
        ]
        start = int(cursor or 0)
        following = str(start + limit) if start + limit < len(found) else None
        return Page(items=found[start : start + limit], next_cursor=following)

    def item(self, item_id: str) -> Stored[Item]:
        """Its record."""
        if item_id not in self.catalogue:
            raise _missing(f"items/{item_id}")
        return Stored(self.catalogue[item_id], '"1"')

    def customers(self, *, cursor: str | None = None, limit: int = 100) -> Page[Customer]:
        """All of them."""
        return Page(items=self.people[:limit])

    def customer(self, customer_id: str) -> Stored[Customer]:
        """The record."""
        found = [person for person in self.people if person.customer_id == customer_id]
        if not found:
            raise _missing(f"customers/{customer_id}")
        return Stored(found[0], '"1"')

    def publish_many(self, events: Sequence[Interaction], *, idempotency_key: str | None = None) -> Accepted:
        """Take what is not refused."""
        rejected = [
            Rejection(index=index, reason=Reason.MISSING_FIELD, detail=f"item {event.item_id!r} is refused")
            for index, event in enumerate(events)
            if event.item_id in self.refused
        ]
        taken = [event for event in events if event.item_id not in self.refused]
        self.told += taken
        self._pending += [(self.lag, event) for event in taken]
        return Accepted(accepted=len(taken), rejected=rejected)

    def _use(self) -> None:
        due = [event for wait, event in self._pending if wait <= 0]
        self._pending = [(wait - 1, event) for wait, event in self._pending if wait > 0]
        for event in due:
            self._last[event.customer_id] = event.time // 1000
            if event.type is InteractionType.PURCHASE:
                self.bought[event.customer_id][event.item_id] += 5 * event.quantity
                self._looked[event.customer_id].pop(event.item_id, None)
            elif event.type in WEIGHT:
                self._looked[event.customer_id][event.item_id] += 1

    def _recommended(
        self, item_id: str, score: float, bought: Counter[str], looked: Counter[str], near: set[str], explain: bool
    ) -> RecommendedItem:
        sources = [Source.TWO_TOWER]
        if bought[item_id]:
            sources.append(Source.HISTORY)
        if looked[item_id] or self._category(item_id) in near:
            sources.append(Source.SESSION)
        told = {
            "pair_lines": float(bought[item_id]), "pair_share_of_days": min(1.0, bought[item_id] / 20),
            "pair_reciprocal_rank": min(1.0, bought[item_id] / 6), "pair_interval_days": 9.0,
            "pair_recency_days": 7.5 if bought[item_id] else 3650.0, "session_views": float(looked[item_id]),
            "category_lines": float(3 * bought[item_id]), "category_recency_days": 2.0,
            "category_reciprocal_rank": 0.33, "trending": float(hash_of(item_id) % 90) / 10,
            "share_of_department": 0.31, "share_of_brand": 0.64,
        }  # fmt: skip
        name = self.catalogue[item_id].name
        return RecommendedItem(
            item_id=item_id, score=score, sources=sources, name=name, explanation=told if explain else None
        )

    def _category(self, item_id: str) -> str:
        return self.catalogue[item_id].attributes["product_category"]

    def _list(self, item_ids: list[str], n: int) -> ItemList:
        items = [ListedItem(item_id=item_id, score=1.0, category=self._category(item_id)) for item_id in item_ids[:n]]
        return ItemList(items=items, as_of=self.as_of_ms)


def hash_of(text: str) -> int:
    """The same in every run."""
    return sum((place + 7) * ord(letter) for place, letter in enumerate(text))
