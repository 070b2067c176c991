"""One customer's visit: what it remembers from click to click, what happens in it, and how soon an answer knew."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from serving.rest_client import HeadwaterError, interaction
from serving.storefront.shop import Shop
from serving.storefront.shop_clock import ShopClock
from streams.contracts.events import Interaction, InteractionType
from streams.contracts.requests import Reply

PATIENCE_S = 3.0
"""How long a click waits for an answer that has used it; after that the page goes on with the last one."""
PAUSE_S = 0.025
"""Between two looks whether an answer has used what happened: within the gateway's default limit for a customer."""
FRESH_S = 1.0
"""An answer so young is shown again; an older one is asked for anew, so that trends and models show."""
CHANNEL = "storefront"
LOOKS = 12
"""Items looked at that a visit remembers."""


class NotTakenError(Exception):
    """The gateway did not take something that happened; the message is its own."""


@dataclass(frozen=True)
class Happening:
    """The last thing that happened: what, to what, and when an answer had used it.

    used_after_ms: from the click to the first answer that had used it, None if none had within `PATIENCE_S`;
    taken_after_ms: from the click to the gateway's receipt, that is when it was in Kafka.
    """

    type: InteractionType
    what: str
    taken_after_ms: float
    used_after_ms: float | None


@dataclass
class Visit:
    """What is remembered of a visit.

    Attributes
    ----------
    answer, before
        The newest answer, and the one before the last happening: what has moved since is shown.
    cart
        Units by item, in the order in which they were put in.
    came_from
        By item the answer that it was taken from, for attribution.
    looking_at
        The item whose page is open, so that a redrawn page is not a second look.
    looked_at
        Items of this visit that were looked at or put in the cart, and not bought since: the latest first.
    bought
        Items that were bought in this visit: the latest first.
    asked_at
        When the newest answer came, by `timer`.
    """

    customer_id: str
    shown: int
    session_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    clock: ShopClock = field(default_factory=ShopClock)
    timer: Callable[[], float] = time.perf_counter
    answer: Reply | None = None
    before: Reply | None = None
    last: Happening | None = None
    cart: dict[str, int] = field(default_factory=dict)
    came_from: dict[str, str] = field(default_factory=dict)
    looking_at: str | None = None
    looked_at: list[str] = field(default_factory=list)
    bought: list[str] = field(default_factory=list)
    asked_at: float = 0.0

    @property
    def units(self) -> int:
        """Units in the cart."""
        return sum(self.cart.values())

    def newest(self, shop: Shop) -> Reply:
        """The answer to show."""
        if self.answer is None or self.timer() - self.asked_at > FRESH_S:
            return self.ask(shop)
        return self.answer

    def ask(self, shop: Shop) -> Reply:
        """Get an answer and keep it."""
        self.answer = shop.recommendations(self.customer_id, n=self.shown, explain=True)
        self.asked_at = self.timer()
        if self.answer.as_of is not None:
            self.clock.heard(self.answer.as_of)
        self.came_from.update((item.item_id, self.answer.recommendation_id) for item in self.answer.items)
        return self.answer

    def view(self, shop: Shop, item_id: str, name: str) -> None:
        """Look at an item, once for as long as its page is open."""
        if self.looking_at != item_id:
            self.looking_at = item_id
            self.happen(shop, InteractionType.VIEW, {item_id: 1}, name)

    def put_in_cart(self, shop: Shop, item_id: str, name: str) -> None:
        """Put one unit into the cart."""
        self.happen(shop, InteractionType.ADD_TO_CART, {item_id: 1}, name)
        self.cart[item_id] = self.cart.get(item_id, 0) + 1

    def take_out(self, shop: Shop, item_id: str, name: str) -> None:
        """Take all units of an item out of the cart."""
        self.happen(shop, InteractionType.REMOVE_FROM_CART, {item_id: self.cart[item_id]}, name)
        del self.cart[item_id]

    def buy(self, shop: Shop, units: Mapping[str, int], name: str, prices: Mapping[str, float | None]) -> None:
        """Buy items; what of them is in the cart leaves it."""
        self.happen(shop, InteractionType.PURCHASE, units, name, prices)
        for item_id in units:
            self.cart.pop(item_id, None)

    def happen(
        self,
        shop: Shop,
        type: InteractionType,
        units: Mapping[str, int],
        what: str,
        prices: Mapping[str, float | None] | None = None,
    ) -> None:
        """Publish, then ask until an answer has used it.

        Raises
        ------
        NotTakenError, HeadwaterError
            The gateway took not all of it, or could not be asked; nothing of the visit has changed.
        """
        if self.answer is None:
            self.ask(shop)
        happened = self.timer()
        events = [self._event(type, item_id, n, (prices or {}).get(item_id)) for item_id, n in units.items()]
        receipt = shop.publish_many(events)
        if receipt.rejected:
            raise NotTakenError("; ".join(rejection.detail for rejection in receipt.rejected))
        taken = self.timer()
        self.before = self.answer
        self._remember(type, units)
        used = self._wait(shop, events, happened)
        self.last = Happening(type, what, 1000 * (taken - happened), used)

    def _remember(self, type: InteractionType, units: Mapping[str, int]) -> None:
        others = [item_id for item_id in self.looked_at if item_id not in units]
        looked = list(units) if type in (InteractionType.VIEW, InteractionType.ADD_TO_CART) else []
        self.looked_at = [*looked, *others][:LOOKS]
        if type is InteractionType.PURCHASE:
            self.bought = [*units, *(item_id for item_id in self.bought if item_id not in units)][:LOOKS]

    def _wait(self, shop: Shop, events: Sequence[Interaction], happened: float) -> float | None:
        newest = max(event.time for event in events) // 1000
        while True:
            try:
                answer = self.ask(shop)
            except HeadwaterError:  # what happened is in Kafka all the same; the next page asks again
                return None
            after = self.timer() - happened
            if answer.seen is not None and (answer.seen.last_event_at or 0) >= newest:
                return 1000 * after
            if after > PATIENCE_S:
                return None
            time.sleep(PAUSE_S)

    def _event(self, type: InteractionType, item_id: str, units: int, price: float | None) -> Interaction:
        return interaction(
            self.customer_id,
            item_id,
            type,
            timestamp=self.clock.event_time(),
            quantity=units,
            price=price,
            session_id=self.session_id,
            context={"channel": CHANNEL},
            recommendation_id=self.came_from.get(item_id),
        )
