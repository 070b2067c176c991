"""What the storefront needs of the gateway; `serving.rest_client.HeadwaterClient` has all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from serving.rest_client import Accepted, ExplainedAnswer, ItemList, Page, SimilarAnswer, Stored
from streams.contracts.events import Customer, Interaction, Item
from streams.contracts.requests import Reply


class Shop(Protocol):
    """The shop behind the storefront. Each method raises a `serving.rest_client.HeadwaterError`."""

    def recommendations(self, customer_id: str, *, n: int = 10, explain: bool = False) -> Reply:
        """What should this customer see?"""

    def recommendation(self, recommendation_id: str, *, items: int = 10, features: int = 5) -> ExplainedAnswer:
        """An answer as it was given, and for its first `items` the `features` that mattered most."""

    def trending(self, *, n: int = 10, category: str | None = None) -> ItemList:
        """What everybody looks at in these hours."""

    def popular(self, *, n: int = 10, category: str | None = None) -> ItemList:
        """What everybody buys in these weeks."""

    def similar(self, item_id: str, *, n: int = 10) -> SimilarAnswer:
        """Items like this one."""

    def bought_together(self, item_id: str, *, n: int = 10) -> SimilarAnswer:
        """What is often in one basket with this item."""

    def items(
        self, *, query: str | None = None, category: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[Item]:
        """Items, a page at a time."""

    def item(self, item_id: str) -> Stored[Item]:
        """An item's record."""

    def customers(self, *, cursor: str | None = None, limit: int = 100) -> Page[Customer]:
        """Customers, a page at a time."""

    def customer(self, customer_id: str) -> Stored[Customer]:
        """A customer's record."""

    def publish_many(self, events: Sequence[Interaction], *, idempotency_key: str | None = None) -> Accepted:
        """Tell what a customer did."""
