import pytest

from feature_repo.shop import Shop, load_shop
from feature_repo.value_proto import ValueType
from feature_repo.views import customer_purchases, views


def test_views_follow_the_shop() -> None:
    shop = Shop("s", item_attributes=("brand", "colour"), preference_attributes=("brand",))
    by_name = {view.name: view for view in views(shop)}
    assert set(by_name) == {"customer_purchases", "item_purchases", "item_catalogue"}
    assert by_name["item_catalogue"].names == ("name", "available", "price", "brand", "colour")
    purchases = by_name["customer_purchases"]
    assert [name for name, kind in purchases.features if kind is ValueType.STRING] == [
        "most_purchased_brand",
        "last_purchased_brand",
    ]
    assert purchases.type_of("history") is ValueType.BYTES


@pytest.mark.parametrize("name", ["complete_journey", "generic", "hm", "synthetic"])
def test_every_builtin_shop_has_views(name: str) -> None:
    assert len(views(load_shop(name))) >= 3


def test_an_attribute_called_like_a_feature_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'item_catalogue' has \['price'\] twice"):
        views(Shop("s", item_attributes=("price",)))


def test_an_unknown_feature_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="no feature 'colour'; it has purchases, quantity"):
        customer_purchases(Shop("s")).type_of("colour")
