"""Catalogue and customers: into their records and Feast views, and out again by a tombstone."""

from collections.abc import Mapping

import pytest
from confluent_kafka import KafkaException

from feature_repo import fences
from feature_repo.item_partials import ItemPartials
from feature_repo.items_state import empty_items
from feature_repo.online_store import OnlineStore
from feature_repo.record_store import RecordStore
from feature_repo.redis_commands import connect
from feature_repo.rows import Selection
from feature_repo.shop import Shop
from feature_repo.views import (
    CUSTOMER,
    CUSTOMER_PROFILE,
    ITEM_CATALOGUE,
    customer_profile,
    customer_purchases,
    item_catalogue,
)
from streams.contracts.codec import encode
from streams.contracts.events import Customer, Item
from streams.contracts.operations import Reason
from streams.upserts import Customers, Items, Raw

SHOP = Shop(name="test", item_attributes=("kind",), customer_attributes=("age",), category="kind")


@pytest.fixture
def store(redis_url: str) -> OnlineStore:
    client = connect(redis_url)
    client.flushall()
    return OnlineStore(client)


def raw(key: str, value: object, offset: int, partition: int = 0) -> Raw:
    data = value if value is None or isinstance(value, bytes) else encode(value)
    return Raw("topic", partition, offset, 1_700_000_000_000 + offset, key.encode(), data)


def thing(name: str, **fields: object) -> Item:
    return Item(item_id=name, name=f"the {name}", attributes={"kind": "toy", "other": "x"}, **fields)  # type: ignore[arg-type]


def catalogue_row(store: OnlineStore, item: str) -> tuple[object, ...]:
    found = store.read_rows(Selection.of(item_catalogue(SHOP)), [item])
    return tuple(found.values(ITEM_CATALOGUE, name)[0] for name in ("name", "available", "price", "kind"))


def age(store: OnlineStore, customer: str) -> object:
    return store.read_rows(Selection.of(customer_profile(SHOP)), [customer]).values(CUSTOMER_PROFILE, "age")[0]


def test_items_are_written_and_the_last_record_wins(store: OnlineStore) -> None:
    items = Items(store, SHOP)
    assert items.apply([raw("a", thing("a", price=1.5), 0), raw("b", thing("b"), 1)]) == []
    assert catalogue_row(store, "a") == ("the a", True, 150, "toy")
    assert catalogue_row(store, "b") == ("the b", True, -1, "toy")
    items.apply([raw("a", thing("a", price=2), 2), raw("a", thing("a", available=False), 3)])
    assert catalogue_row(store, "a") == ("the a", False, -1, "toy")
    assert RecordStore(store.client, "item").get(["a"]) == [encode(thing("a", available=False))]


def test_a_replay_changes_nothing(store: OnlineStore) -> None:
    items = Items(store, SHOP)
    records = [raw("a", thing("a", price=1), 0), raw("a", thing("a", price=2), 1), raw("b", None, 2)]
    items.apply(records)
    before = {key: store.client.hgetall(key) for key in store.client.keys("*")}
    items.apply(records[:1])
    items.apply(records)
    assert {key: store.client.hgetall(key) for key in store.client.keys("*")} == before


def test_an_item_tombstone_takes_the_catalogue_row_and_leaves_the_purchases(store: OnlineStore) -> None:
    items, partials = Items(store, SHOP), ItemPartials(store, ["0"])
    items.apply([raw("a", thing("a"), 0)])
    partials.write("0", ["a"], empty_items(1), [1])
    items.apply([raw("a", None, 1)])
    assert catalogue_row(store, "a") == (None, None, None, None)
    assert RecordStore(store.client, "item").get(["a"]) == [None]
    assert len(partials.read(["a"]).versions) == 1
    items.apply([raw("a", thing("a"), 2)])
    assert catalogue_row(store, "a")[0] == "the a"


def test_upsert_and_tombstone_in_one_batch_end_as_their_order_says(store: OnlineStore) -> None:
    Items(store, SHOP).apply([raw("a", thing("a"), 0), raw("a", None, 1), raw("b", None, 2), raw("b", thing("b"), 3)])
    records = RecordStore(store.client, "item").get(["a", "b"])
    assert records == [None, encode(thing("b"))]


class Announced(list[dict[str, str]]):
    """What customers were to be erased for which cause, call by call."""

    def __call__(self, causes: Mapping[str, str]) -> None:
        self.append(dict(causes))


def test_a_customer_tombstone_takes_the_profile_and_has_the_rest_erased(store: OnlineStore) -> None:
    announced = Announced()
    customers = Customers(store, SHOP, announced)
    customers.apply([raw("c", Customer(customer_id="c", attributes={"age": "35-44"}), 0)])
    assert age(store, "c") == "35-44"
    customers.apply([raw("c", None, 1), raw("stranger", None, 2)])
    assert age(store, "c") is None
    assert RecordStore(store.client, "customer").get(["c"]) == [None]
    assert announced == [{"c": "0:1:1700000000001", "stranger": "0:2:1700000000002"}]


def test_a_tombstone_that_can_not_be_announced_is_not_obeyed(store: OnlineStore) -> None:
    def unreachable(causes: Mapping[str, str]) -> None:
        raise KafkaException("no broker")

    with pytest.raises(KafkaException):
        Customers(store, SHOP, unreachable).apply([raw("c", None, 1)])
    announced = Announced()
    Customers(store, SHOP, announced).apply([raw("c", None, 1)])
    assert announced == [{"c": "0:1:1700000000001"}]


def test_an_obeyed_tombstone_that_comes_again_spares_what_came_since(store: OnlineStore) -> None:
    announced = Announced()
    customers = Customers(store, SHOP, announced)
    customers.apply([raw("c", None, 1)])
    customers.apply([raw("c", Customer(customer_id="c", attributes={"age": "18-24"}), 2)])
    customers.apply([raw("c", Customer(customer_id="c"), 0), raw("c", None, 1)])
    assert age(store, "c") == "18-24"
    assert len(announced) == 1


def test_a_customer_who_comes_back_stays(store: OnlineStore) -> None:
    customers = Customers(store, SHOP, Announced())
    key = store.keys(CUSTOMER, ["c"])[0]
    customers.apply([raw("c", Customer(customer_id="c", attributes={"age": "35-44"}), 0), raw("c", None, 1)])
    fences.take_away(store, customer_purchases(SHOP), ["c"], [7], ())
    assert 0 < store.client.ttl(key) <= fences.FENCE_S
    customers.apply([raw("c", Customer(customer_id="c", attributes={"age": "18-24"}), 2)])
    assert store.client.ttl(key) == -1
    fences.take_away(store, customer_purchases(SHOP), ["c"], [8], ())
    assert (age(store, "c"), store.client.ttl(key)) == ("18-24", -1)


def test_bad_records_become_letters_and_good_ones_count(store: OnlineStore) -> None:
    letters = Items(store, SHOP).apply(
        [
            raw("a", thing("a"), 0),
            raw("b", b"{", 1),
            raw("x", thing("b"), 2),
            raw("c", b'{"item_id": "c", "price": -1}', 3),
            raw("", None, 4),
            raw("d", thing("d"), 5),
        ]
    )
    assert [(each.offset, each.reason) for each in letters] == [
        (1, Reason.NOT_JSON),
        (2, Reason.KEY_MISMATCH),
        (3, Reason.ABSURD_PRICE),
        (4, Reason.BAD_ID),
    ]
    assert [each is None for each in RecordStore(store.client, "item").get(["a", "b", "c", "d"])] == [
        False, True, True, False,
    ]  # fmt: skip
    assert Customers(store, SHOP, Announced()).apply([raw("q", b"[]", 0)])[0].reason is Reason.NOT_OBJECT
