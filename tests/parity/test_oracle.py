"""The oracle against answers worked out by hand, and the comparison against cells known to differ."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.catalogue import CatalogueItem
from feature_repo.shop import Shop
from tests.parity.oracle.compare import Report, compare
from tests.parity.oracle.oracle import Bounds, Oracle, committed_files

DAY = 86_400_000_000
SHOP = Shop("by hand", 2, ("aisle",), (), "aisle", ("aisle",))
ITEMS = [
    CatalogueItem("milk", price=119, attributes={"aisle": "dairy"}),
    CatalogueItem("tea", attributes={"aisle": "drinks"}),
    CatalogueItem("rope"),
]
# (customer, item, type, day, quantity, amount)
ROWS = [
    ("ann", "milk", "return", 100.0, 1, -1),  # before anything was bought: ignored
    ("ann", "milk", "purchase", 101.0, 2, 200),
    ("ann", "milk", "purchase", 105.0, 3, 301),
    ("ann", "milk", "return", 107.0, 2, -1),  # two of the three units of day 105
    ("ann", "tea", "purchase", 107.5, 1, -1),
    ("ann", "milk", "purchase", 109.0, 1, 100),
    ("bob", "milk", "purchase", 30.0, 1, 100),
    ("bob", "rope", "purchase", 31.0, 1, 900),
    ("bob", "tea", "view", 108.0, 1, -1),
    ("cleo", "tea", "impression", 108.0, 1, -1),
]
AS_OF = 110 * DAY


def table(rows) -> pa.Table:
    n = len(rows)
    return pa.table(
        {
            "event_id": [f"e{i}" for i in range(n)],
            "customer_id": [row[0] for row in rows],
            "item_id": [row[1] for row in rows],
            "type": [row[2] for row in rows],
            "time": pa.array([int(row[3] * DAY) for row in rows], pa.int64()),
            "quantity": pa.array([row[4] for row in rows], pa.int32()),
            "amount": pa.array([row[5] for row in rows], pa.int64()),
            "rating": pa.nulls(n, pa.float32()),
            "arrival": pa.array(range(n), pa.int64()),
            "partition": pa.array([0] * n, pa.int32()),
            "offset": pa.array(range(n), pa.int64()),
        }
    )


def test_trends_by_hand():
    minute = DAY // 1440
    rows = [
        ("ann", "milk", "view", 12, 12),
        ("ann", "milk", "click", 161, 163),
        ("ann", "milk", "add_to_cart", 166, 162),  # from a clock that runs ahead
        ("bob", "milk", "purchase", 171, 172),
        ("bob", "milk", "remove_from_cart", 400, 400),
        ("bob", "tea", "impression", 171, 172),
        ("bob", "tea", "return", 171, 172),
    ]
    sent = table([(customer, item, kind, 0, 1, -1) for customer, item, kind, *_ in rows])
    for place, name in ((3, "time"), (4, "arrival")):
        column = pa.array([row[place] * minute for row in rows], pa.int64())
        sent = sent.set_column(sent.column_names.index(name), name, column)
    oracle = Oracle(SHOP, sent, ITEMS, 182 * minute)
    items = oracle.items()
    assert by(items, "item_id", "hot_slot") == {"milk": 34, "tea": -(2**31)}
    ring = np.frombuffer(items["hot"][0], "<i4")
    assert {slot: int(ring[slot % 32]) for slot in (2, 32, 33, 34)} == {2: 5, 32: 4, 33: 0, 34: 5}  # 2 and 34 are one
    assert ring.sum() == 4 + 5
    expected = 4 * np.exp(-20 / 45) + 5 * np.exp(-10 / 45)
    assert by(oracle.popularity(), "item_id", "trending") == {"milk": pytest.approx(expected), "tea": 0.0}


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(SHOP, table(ROWS), ITEMS, AS_OF)


def by(columns, key, name):
    return dict(zip(columns[key], np.asarray(columns[name]).tolist(), strict=True))


def test_customers_by_hand(oracle):
    customers = oracle.customers()
    assert by(customers, "customer_id", "purchases") == {"ann": 4, "bob": 2, "cleo": 0}
    assert by(customers, "customer_id", "quantity") == {"ann": 2 + 1 + 1 + 1, "bob": 2, "cleo": 0}
    assert by(customers, "customer_id", "spend") == {"ann": 200 + 100 + 100, "bob": 1000, "cleo": 0}
    assert by(customers, "customer_id", "shopping_days") == {"ann": 4, "bob": 2, "cleo": 0}
    assert by(customers, "customer_id", "last_purchase_at")["ann"] == 109 * DAY
    assert by(customers, "customer_id", "most_purchased_aisle") == {"ann": "dairy", "bob": "dairy", "cleo": ""}
    assert by(customers, "customer_id", "last_purchased_aisle")["bob"] == "dairy"  # rope stands in no aisle
    assert [len(blob) // 24 for blob in customers["history"]] == [6, 2, 0]  # returns are kept as lines
    assert [len(blob) // 24 for blob in customers["recent"]] == [0, 1, 0]


def test_rfm_by_hand(oracle):
    rfm = oracle.rfm()
    assert by(rfm, "customer_id", "recency_days") == {"ann": 1.0, "bob": 79.0, "cleo": 3650.0}
    assert by(rfm, "customer_id", "frequency_days")["ann"] == pytest.approx(8 / 3)
    assert by(rfm, "customer_id", "monetary")["ann"] == 1.0
    assert by(rfm, "customer_id", "tenure_days")["ann"] == 9.0


def test_items_by_hand(oracle):
    items = oracle.items()
    assert by(items, "item_id", "hot_slot") == {"milk": 0, "rope": 0, "tea": 0}  # they arrived at once
    assert [np.frombuffer(blob, "<i4")[0] for blob in items["hot"]] == [5 * 4, 5, 5 + 1]
    assert by(items, "item_id", "purchases") == {"milk": 4, "rope": 1, "tea": 1}
    assert by(items, "item_id", "buyers") == {"milk": 2, "rope": 1, "tea": 1}
    assert by(items, "item_id", "repeats") == {"milk": 2, "rope": 0, "tea": 0}
    assert by(items, "item_id", "newest_day") == {"milk": 109, "rope": 31, "tea": 107}
    ring = np.frombuffer(items["daily"][0], "<i4")
    assert {day: int(ring[day % 64]) for day in (101, 105, 109)} == {101: 1, 105: 1, 109: 1}
    assert ring.sum() == 3  # bob's milk of day 30 is older than 64 days before the newest
    popularity = oracle.popularity()
    assert by(popularity, "item_id", "purchases_1d")["milk"] == 1
    assert by(popularity, "item_id", "purchases_30d")["milk"] == 3
    assert by(popularity, "item_id", "time_weighted_purchases")["tea"] == pytest.approx(np.exp(-3 / 14))
    assert by(popularity, "item_id", "price") == {"milk": 1.19, "rope": 9.0, "tea": 0.0}
    assert by(popularity, "item_id", "days_since_bought")["rope"] == 3650.0  # beyond 64 days


def test_pairs_by_hand(oracle):
    pairs = oracle.pairs(["ann", "ann", "bob", "cleo"], ["milk", "tea", "tea", "tea"])
    assert pairs["pair_lines"].tolist() == [3, 1, 0, 0]
    assert pairs["pair_days"].tolist() == [3, 1, 0, 0]
    assert pairs["pair_share_of_days"].tolist() == [0.75, 0.25, 0, 0]
    assert pairs["pair_recency_days"].tolist() == [1.0, 2.5, 3650, 3650]
    assert pairs["pair_interval_days"].tolist() == [4.0, 0, 0, 0]
    assert pairs["pair_rhythm"].tolist() == [0.25, -1, -1, -1]
    assert pairs["pair_trips_since"].tolist() == [0, 1, 0, 0]
    assert pairs["pair_reciprocal_rank"].tolist() == [1.0, 0.5, 0, 0]
    np.testing.assert_allclose(pairs["pair_decayed_20"][0], np.exp(-np.array([9, 5, 1]) / 20).sum(), rtol=1e-12)
    np.testing.assert_allclose(pairs["pair_engagement"], [0, 0, np.exp(-2), 0], rtol=1e-12)
    assert pairs["category_lines"].tolist() == [3, 1, 0, 0]
    dairy, drinks = np.exp(-np.array([9, 5, 1]) / 90).sum(), np.exp(-2.5 / 90)
    np.testing.assert_allclose(pairs["share_of_aisle"][:2], np.array([dairy, drinks]) / (dairy + drinks), rtol=1e-12)


def test_what_leaves_the_history_stays_in_the_sums():
    oracle = Oracle(SHOP, table(ROWS), ITEMS, AS_OF, Bounds(history=2))
    customers = oracle.customers()
    assert by(customers, "customer_id", "purchases")["ann"] == 4  # of ann's six lines four left, two of them bought
    assert by(customers, "customer_id", "first_purchase_at")["ann"] == 101 * DAY
    assert by(customers, "customer_id", "shopping_days")["ann"] == 2


def test_an_event_sent_twice_counts_once_within_the_window():
    rows = table([("ann", "milk", "purchase", 1.0, 1, 100)] * 3)
    rows = rows.set_column(0, "event_id", pa.array(["same"] * 3))
    rows = rows.set_column(rows.column_names.index("arrival"), "arrival", pa.array([0, 2 * DAY, 2 * DAY + 1]))
    assert Oracle(SHOP, rows, ITEMS, AS_OF).customers()["purchases"].tolist() == [2]


def test_only_committed_files_are_read(tmp_path):
    with pytest.raises(ValueError, match="no committed interactions"):
        committed_files(tmp_path)
    for name, listed in (("a", True), ("b", False)):
        file = tmp_path / f"interactions/date=1970-04-11/{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(ROWS[:2]), file)
        if listed:
            (tmp_path / "commits").mkdir()
            marker = {"partition": 0, "from": 0, "to": 2, "rows": 2, "files": [str(file.relative_to(tmp_path))]}
            (tmp_path / "commits/0-0-2.json").write_text(json.dumps(marker))
    assert [path.rsplit("/", 1)[1] for path in committed_files(tmp_path)] == ["a.parquet"]
    assert Oracle(SHOP, tmp_path, ITEMS, AS_OF).customers()["purchases"].tolist() == [1]


def test_comparison_finds_what_differs():
    expected = {"n": np.array([1, 2]), "x": np.array([1.0, 2.0]), "s": ["a", "b"]}
    same = compare("g", ["p", "q"], expected, {"n": np.array([1, 2]), "x": [1.0 + 1e-10, 2.0], "s": ["a", "b"]})
    assert (same.checked, same.mismatched) == (6, 0)
    other = compare("g", ["p", "q"], expected, {"n": [1, 3], "x": [1.0 + 1e-8, np.nan], "s": ["a", None]})
    assert (other.checked, other.mismatched) == (6, 4)
    assert {(m.entity, m.column) for m in other.worst} == {("q", "g.n"), ("p", "g.x"), ("q", "g.x"), ("q", "g.s")}
    assert (same + other).checked == 12
    assert "g.n of q: expected" in str(Report() + other)


def test_comparison_refuses_what_it_cannot_compare():
    with pytest.raises(ValueError, match="'x' was not read"):
        compare("g", ["p"], {"x": np.array([1.0])}, {"y": [1.0]})
    with pytest.raises(ValueError, match="has 2 rows, expected 1"):
        compare("g", ["p"], {"x": np.array([1.0])}, {"x": [1.0, 2.0]})
    with pytest.raises(ValueError, match="must be integers"):
        compare("g", ["p"], {"x": np.array([1])}, {"x": [1.0]})
