"""Every page, drawn by Streamlit itself, on a shop in memory."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from serving.rest_client import HeadwaterClient
from serving.storefront.front import Premises
from serving.storefront.settings import StorefrontSettings
from serving.storefront.visit import Visit
from tests.serving.storefront.fake_shop import FakeShop

SCRIPT = Path(__file__).with_name("with_fake_shop.py")
CUSTOMER = "1607"
Open = Callable[..., AppTest]


@pytest.fixture
def shop() -> FakeShop:
    return FakeShop()


@pytest.fixture
def opened(shop: FakeShop) -> Open:
    def opened(**address: str) -> AppTest:
        app = AppTest.from_file(str(SCRIPT), default_timeout=30)
        app.session_state["fake"] = shop
        for name, value in address.items():
            app.query_params[name] = value
        return well(app.run())

    return opened


def well(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def press(app: AppTest, key: str) -> AppTest:
    return well(app.button(key=key).click().run())


def keys(app: AppTest, start: str) -> list[str]:
    return [button.key.removeprefix(start) for button in app.button if button.key and button.key.startswith(start)]


def visit(app: AppTest) -> Visit:
    found = app.session_state["visit"]
    assert isinstance(found, Visit)
    return found


def happened(shop: FakeShop) -> list[tuple[str, str]]:
    return [(event.type.value, event.item_id) for event in shop.told]


def test_the_door_lets_customers_in(opened: Open) -> None:
    app = opened()
    press(app, f"as-{CUSTOMER}")
    assert app.query_params["customer"] == CUSTOMER
    assert visit(app).customer_id == CUSTOMER
    press(app, "leave")
    assert "customer" not in app.query_params
    assert keys(app, "as-")


def test_any_id_comes_in_and_so_does_a_stranger(opened: Open) -> None:
    app = opened()
    well(app.text_input(key="who").input(" 4711 ").run())
    assert app.query_params["customer"] == "4711"
    press(app, "leave")
    press(app, "stranger")
    assert visit(app).customer_id.startswith("guest-")


def test_home_has_the_answers_items_in_its_order(opened: Open) -> None:
    app = opened(customer=CUSTOMER)
    answer = visit(app).answer
    assert answer is not None
    assert keys(app, "add-you-") == [item.item_id for item in answer.items[:12]]
    assert len(keys(app, "add-trending-")) == 6
    assert keys(app, "add-again-")


def test_a_look_fills_the_shelf_of_this_session(opened: Open, shop: FakeShop) -> None:
    app = opened(customer=CUSTOMER)
    assert keys(app, "add-session-") == []
    item_id = keys(app, "open-you-")[5]
    press(app, f"open-you-{item_id}")
    assert app.query_params["item"] == item_id
    assert happened(shop) == [("view", item_id)]
    assert keys(app, "add-similar-")
    assert keys(app, "add-together-")
    well(app.run())
    assert happened(shop) == [("view", item_id)]
    press(app, "home")
    assert item_id in keys(app, "add-session-")
    assert len(keys(app, "add-session-")) == 6


def test_what_no_answer_has_of_this_session_is_on_its_shelf_all_the_same(opened: Open, shop: FakeShop) -> None:
    app = opened(customer=CUSTOMER)
    shop.lag = 10**9
    visit(app).looked_at = ["g075", "g074"]
    press(app, "home")
    assert keys(app, "add-session-")[:2] == ["g075", "g074"]


def test_the_search_field_says_what_is_searched_for(opened: Open) -> None:
    app = opened(customer=CUSTOMER, page="browse", query="milk")
    assert app.text_input(key="search").value == "milk"
    press(app, "home")
    assert app.text_input(key="search").value == ""


def test_the_cart_survives_reruns_and_is_bought(opened: Open, shop: FakeShop) -> None:
    app = opened(customer=CUSTOMER)
    first, second = keys(app, "add-you-")[:2]
    press(app, f"add-you-{first}")
    press(app, f"add-you-{first}")
    press(app, f"add-you-{second}")
    well(app.run())
    assert app.button(key="cart").label == "Cart · 3"
    press(app, "cart")
    press(app, f"remove-{second}")
    press(app, "checkout")
    assert happened(shop)[-2:] == [("remove_from_cart", second), ("purchase", first)]
    assert shop.told[-1].quantity == 2
    assert app.button(key="cart").label == "Cart"
    assert "page" not in app.query_params


def test_what_a_purchase_changed_is_shown_with_the_places_before_and_after(opened: Open, shop: FakeShop) -> None:
    app = opened(customer=CUSTOMER)
    assert keys(app, "add-changed-") == []
    first = visit(app).answer
    assert first is not None
    bought = first.items[40].item_id
    app = opened(customer=CUSTOMER, page="item", item=bought)
    press(app, "buy")
    assert keys(app, "add-changed-")
    assert f"Because you bought {shop.catalogue[bought].name}" in told(app)
    before, after = visit(app).before, visit(app).answer
    assert before is not None
    assert after is not None
    item_id = keys(app, "add-changed-")[0]
    places = [[item.item_id for item in answer.items].index(item_id) + 1 for answer in (before, after)]
    assert f"Place {places[0]} → {places[1]}" in told(app)
    assert bought not in keys(app, "add-session-")
    assert len(keys(app, "add-session-")) == 6


def test_the_cart_shows_what_goes_with_it(opened: Open) -> None:
    app = opened(customer=CUSTOMER)
    item_id = keys(app, "add-you-")[0]
    press(app, f"add-you-{item_id}")
    press(app, "cart")
    assert len(keys(app, "add-beside-")) == 6
    assert item_id not in keys(app, "add-beside-")


def test_buy_now_on_an_items_page(opened: Open, shop: FakeShop) -> None:
    app = opened(customer=CUSTOMER, page="item", item="g010")
    press(app, "buy")
    assert happened(shop) == [("view", "g010"), ("purchase", "g010")]
    assert shop.told[-1].price == shop.catalogue["g010"].price


def test_search_finds_and_shows_more(opened: Open, shop: FakeShop) -> None:
    app = opened(customer=CUSTOMER)
    well(app.text_input(key="search").input("milk").run())
    assert keys(app, "add-found-") == [i.item_id for i in shop.catalogue.values() if "milk" in i.name.lower()]
    found = keys(app, "add-found-")
    assert 0 < len(found) < 6
    assert len(keys(app, "add-alike-")) == 6
    assert not {*found} & {*keys(app, "add-alike-")}
    app = opened(customer=CUSTOMER, page="browse")
    assert len(keys(app, "add-found-")) == 24
    press(app, "more")
    assert len(keys(app, "add-found-")) == 48


def test_a_category_is_browsed(opened: Open) -> None:
    app = opened(customer=CUSTOMER)
    category = keys(app, "category-")[0]
    press(app, f"category-{category}")
    assert app.query_params["category"] == category
    assert keys(app, "add-found-")


def test_an_answer_is_explained_from_what_the_gateway_kept(opened: Open, shop: FakeShop) -> None:
    app = opened(customer=CUSTOMER)
    press(app, f"why-you-{keys(app, 'why-you-')[0]}")
    assert "What counted" in told(app)
    assert "How due it is by your rhythm: 0.93" in told(app)
    well(app.run())
    assert "What counted" not in told(app)
    shop.served.clear()
    visit(app).asked_at = float("inf")
    press(app, f"why-you-{keys(app, 'why-you-')[0]}")
    assert "What counted" in told(app)
    assert "What moved its score" not in told(app)


def told(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def test_what_the_gateway_refuses_is_told_and_the_shop_goes_on(opened: Open, shop: FakeShop) -> None:
    app = opened(customer=CUSTOMER)
    item_id = keys(app, "add-you-")[0]
    shop.refused.add(item_id)
    press(app, f"add-you-{item_id}")
    assert item_id in app.error[0].value
    assert keys(app, "add-you-")
    well(app.run())
    assert not app.error


def test_names_of_the_catalogue_are_text_and_not_markup(opened: Open, shop: FakeShop) -> None:
    item = shop.catalogue["g004"]
    item.name = '<img src=x onerror="alert(1)">'
    item.description = item.attributes["brand"] = "<b>bold</b>"
    app = opened(customer=CUSTOMER, page="item", item="g004")
    assert "&lt;img src=x" in told(app)
    assert "<img src=x" not in told(app)
    assert "<b>bold" not in told(app)


def test_without_a_gateway_the_shop_is_closed(opened: Open, shop: FakeShop) -> None:
    client = HeadwaterClient("http://127.0.0.1:9", attempts=1, timeout_s=1.0)
    app = AppTest.from_file(str(SCRIPT), default_timeout=30)
    app.session_state["premises"] = Premises.of(client, StorefrontSettings())
    well(app.run())
    assert "127.0.0.1:9" in app.error[0].value
    app.session_state["premises"] = Premises.of(shop, StorefrontSettings())
    press(app, "retry")
    assert keys(app, "as-")
