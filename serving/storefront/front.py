"""What a page is drawn with: the shop, what is known of its items, and the visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from feature_repo.shop import load_shop
from serving.storefront.catalogue import Catalogue
from serving.storefront.pictures import Pictures
from serving.storefront.settings import StorefrontSettings
from serving.storefront.shop import Shop
from serving.storefront.visit import Visit
from streams.contracts.events import Item


@dataclass(frozen=True)
class Premises:
    """What all visits share; one a process."""

    shop: Shop
    settings: StorefrontSettings
    catalogue: Catalogue
    pictures: Pictures

    @classmethod
    def of(cls, shop: Shop, settings: StorefrontSettings) -> Self:
        """With an empty memory of the catalogue."""
        category = load_shop(settings.shop).category
        return cls(shop, settings, Catalogue(shop, category), Pictures(settings.images, category))


@dataclass(frozen=True)
class Front:
    """The premises as one visit finds them."""

    premises: Premises
    visit: Visit

    @property
    def shop(self) -> Shop:
        """The shop behind the gateway."""
        return self.premises.shop

    @property
    def catalogue(self) -> Catalogue:
        """Items' records."""
        return self.premises.catalogue

    def picture(self, item: Item) -> str:
        """The item's picture as a data URL."""
        return self.premises.pictures.of(item)

    def price(self, item: Item) -> str:
        """The item's price for people, "" where it has none."""
        return "" if item.price is None else f"{self.premises.settings.storefront_currency}{item.price:,.2f}"
