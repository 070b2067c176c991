from collections import Counter

import pytest

from serving.rest_client import ItemList, ListedItem, Stored
from serving.storefront.catalogue import KEPT_S, Catalogue
from streams.contracts.events import Item
from tests.serving.storefront.fake_shop import FakeShop

CATEGORY = "product_category"


class CountingShop(FakeShop):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def item(self, item_id: str) -> Stored[Item]:
        self.asked[item_id] += 1
        return super().item(item_id)

    def popular(self, *, n: int = 10, category: str | None = None) -> ItemList:
        self.asked["popular"] += 1
        codes = ["b", "a", "b", "c", "b", "a", None]
        return ItemList(items=[ListedItem(item_id=str(k), score=1.0, category=c) for k, c in enumerate(codes)], as_of=0)


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def shop() -> CountingShop:
    return CountingShop()


def test_a_record_is_read_once_a_minute(shop: CountingShop) -> None:
    clock = Clock()
    catalogue = Catalogue(shop, CATEGORY, clock)
    for _ in range(3):
        assert [item.item_id for item in catalogue.items(["g001", "g002", "g001"]).values()] == ["g001", "g002"]
    assert shop.asked == {"g001": 1, "g002": 1}
    clock.seconds += KEPT_S + 1
    catalogue.item("g001")
    assert shop.asked == {"g001": 2, "g002": 1}


def test_what_came_another_way_is_not_read(shop: CountingShop) -> None:
    catalogue = Catalogue(shop, CATEGORY)
    catalogue.keep([Item(item_id="g001", name="told")])
    assert catalogue.item("g001").name == "told"
    assert not shop.asked


def test_an_item_without_a_record_has_its_id_alone(shop: CountingShop) -> None:
    assert Catalogue(shop, CATEGORY).item("nobody") == Item(item_id="nobody")


def test_categories_are_those_of_most_best_sellers(shop: CountingShop) -> None:
    catalogue = Catalogue(shop, CATEGORY)
    assert catalogue.categories(2) == ["b", "a"]
    assert catalogue.categories(9) == ["b", "a", "c"]
    assert shop.asked["popular"] == 1
    assert catalogue.category(shop.catalogue["g001"]) == "FLUID MILK PRODUCTS"
    assert catalogue.category(Item(item_id="x")) == ""
