import pytest

from serving.rest_client import HeadwaterError
from serving.storefront import visit as visits
from serving.storefront.visit import NotTakenError, Visit
from streams.contracts.events import InteractionType
from tests.serving.storefront.fake_shop import FakeShop

CUSTOMER = "1607"


@pytest.fixture
def shop() -> FakeShop:
    return FakeShop()


@pytest.fixture
def visit() -> Visit:
    return Visit(CUSTOMER, 60)


def kinds(shop: FakeShop) -> list[tuple[str, str, int]]:
    return [(event.type.value, event.item_id, event.quantity) for event in shop.told]


def test_what_happens_is_waited_for(shop: FakeShop, visit: Visit) -> None:
    shop.lag = 3
    visit.put_in_cart(shop, "g001", "Milk")
    assert visit.last is not None
    assert visit.last.used_after_ms is not None
    assert 0 <= visit.last.taken_after_ms <= visit.last.used_after_ms
    assert visit.answer is not None
    assert visit.answer.seen is not None
    assert visit.answer.seen.last_event_at == shop.told[-1].time // 1000
    assert visit.before is not None
    assert visit.before.recommendation_id == "r0"


def test_an_event_that_no_answer_uses_is_not_waited_for_for_ever(
    shop: FakeShop, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.lag = 10**9
    monkeypatch.setattr(visits, "PATIENCE_S", 0.05)
    visit.put_in_cart(shop, "g001", "Milk")
    assert visit.last is not None
    assert visit.last.used_after_ms is None
    assert visit.cart == {"g001": 1}


def test_what_was_taken_counts_also_where_no_answer_comes(
    shop: FakeShop, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit.ask(shop)

    def unreachable(*_: object, **__: object) -> None:
        raise HeadwaterError("no answer")

    monkeypatch.setattr(shop, "recommendations", unreachable)
    visit.put_in_cart(shop, "g001", "Milk")
    assert visit.cart == {"g001": 1}
    assert visit.last is not None
    assert visit.last.used_after_ms is None


def test_a_page_drawn_again_is_not_a_second_look(shop: FakeShop, visit: Visit) -> None:
    for item_id in ("g001", "g001", "g002", "g001"):
        visit.view(shop, item_id, "")
    assert kinds(shop) == [("view", "g001", 1), ("view", "g002", 1), ("view", "g001", 1)]


def test_buying_the_cart_empties_it_and_tells_units_and_prices(shop: FakeShop, visit: Visit) -> None:
    for item_id in ("g001", "g001", "g002"):
        visit.put_in_cart(shop, item_id, "")
    visit.buy(shop, dict(visit.cart), "all", {"g001": 3.49, "g002": None})
    bought = [event for event in shop.told if event.type is InteractionType.PURCHASE]
    assert [(e.item_id, e.quantity, e.price) for e in bought] == [("g001", 2, 3.49), ("g002", 1, None)]
    assert visit.cart == {}
    assert len({event.event_id for event in shop.told}) == len(shop.told)
    assert len({event.time for event in shop.told}) == len(shop.told)
    assert {event.session_id for event in shop.told} == {visit.session_id}


def test_what_was_looked_at_is_remembered_until_it_is_bought(shop: FakeShop, visit: Visit) -> None:
    visit.view(shop, "g001", "")
    visit.put_in_cart(shop, "g002", "")
    visit.view(shop, "g003", "")
    visit.put_in_cart(shop, "g001", "")
    assert visit.looked_at == ["g001", "g003", "g002"]
    visit.buy(shop, {"g001": 1}, "", {})
    visit.take_out(shop, "g002", "")
    assert visit.looked_at == ["g003"]


def test_taking_out_tells_every_unit(shop: FakeShop, visit: Visit) -> None:
    visit.put_in_cart(shop, "g001", "")
    visit.put_in_cart(shop, "g001", "")
    visit.take_out(shop, "g001", "")
    assert kinds(shop)[-1] == ("remove_from_cart", "g001", 2)
    assert visit.units == 0


def test_what_came_out_of_an_answer_is_attributed_to_it(shop: FakeShop, visit: Visit) -> None:
    answer = visit.ask(shop)
    item_id = answer.items[0].item_id
    visit.put_in_cart(shop, item_id, "")
    assert shop.told[0].recommendation_id == answer.recommendation_id
    visit.came_from.clear()
    visit.happen(shop, InteractionType.VIEW, {item_id: 1}, "")
    assert shop.told[1].recommendation_id is None


def test_what_is_refused_changes_nothing(shop: FakeShop, visit: Visit) -> None:
    shop.refused.add("g001")
    with pytest.raises(NotTakenError, match="g001"):
        visit.put_in_cart(shop, "g001", "Milk")
    assert visit.cart == {}
    assert visit.last is None


def test_an_answer_is_shown_again_only_while_it_is_young(shop: FakeShop) -> None:
    seconds = 0.0
    visit = Visit(CUSTOMER, 60, timer=lambda: seconds)
    first = visit.newest(shop)
    assert visit.newest(shop) is first
    seconds = 1.5
    assert visit.newest(shop).recommendation_id != first.recommendation_id
