"""Whatever happens in a shop, in whatever batches it is folded: the kernels and the SQL oracle agree."""

from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.catalogue import CatalogueItem
from feature_repo.customer_state import Limits
from feature_repo.histories import histories_of
from feature_repo.materialise import pair_columns
from feature_repo.shop import Shop
from tests.parity.oracle.check import check_features, check_pairs
from tests.parity.oracle.oracle import Bounds, Oracle
from tests.parity.worlds import World, customer_rows, folded, item_rows, trend_of

MINUTE = 60_000_000
HOUR = 60 * MINUTE
START = 17_000 * 24 * HOUR
SHOP = Shop("test", 2, ("department", "kind"), (), "kind", ("department", "kind"))
ITEMS = [f"item {i}" for i in range(6)]
TYPES = ["purchase"] * 5 + ["return"] * 3 + ["view", "add_to_cart", "remove_from_cart", "rating", "impression"]

EVENT = st.tuples(
    st.integers(0, 3),  # customer
    st.sampled_from(ITEMS),
    st.sampled_from(TYPES),
    st.integers(0, 90 * 4).map(lambda quarters: quarters * 6 * HOUR)
    | st.integers(0, 60).map(lambda sevenths: sevenths * 7 * MINUTE),  # event time, since the start: many ties
    st.integers(1, 3),  # quantity
    st.integers(-1, 500),  # amount
    st.none() | st.integers(1, 5),  # rating
)


@st.composite
def worlds(draw) -> World:
    """Events in any order of event time, about a tenth of them sent again, and a catalogue that lacks some items."""
    rows = draw(st.lists(EVENT, min_size=1, max_size=60))
    again = draw(st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(0, 80)), max_size=len(rows) // 5))
    ids = [*range(len(rows)), *(original for original, _ in again)]
    pauses = draw(st.lists(st.sampled_from([0, 3, 20, 240]), min_size=len(rows), max_size=len(rows)))
    gaps = [*pauses, *(hours * 60 for _, hours in again)]  # beyond 48 h of arrival the id is new again
    arrival = START + np.cumsum(np.array(gaps)) * MINUTE + np.arange(len(ids)) * 1_000_000
    sent = [rows[i] for i in ids]
    interactions = pa.table(
        {
            "event_id": [f"event {i}" for i in ids],
            "customer_id": [f"customer {row[0]}" for row in sent],
            "item_id": [row[1] for row in sent],
            "type": [row[2] for row in sent],
            "time": pa.array([START + row[3] for row in sent], pa.int64()),
            "quantity": pa.array([row[4] for row in sent], pa.int32()),
            "amount": pa.array([row[5] for row in sent], pa.int64()),
            "rating": pa.array([row[6] for row in sent], pa.float32()),
            "arrival": pa.array(arrival, pa.int64()),
            "partition": pa.array([0] * len(ids), pa.int32()),
            "offset": pa.array(range(len(ids)), pa.int64()),
        }
    )
    values = st.sampled_from(["", "a", "b", "Z", "é"])
    known = draw(st.lists(st.sampled_from(ITEMS), unique=True))
    items = [
        CatalogueItem(
            name,
            price=draw(st.integers(-1, 300)),
            attributes={a: value for a in SHOP.item_attributes if (value := draw(values))},
        )
        for name in known
    ]
    return World(interactions, items)


def random_batches(n: int, data: st.DataObject) -> list[np.ndarray]:
    """Consecutive offsets in batches, some of which are read again, as after a crash."""
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    batches = [np.arange(a, b) for a, b in pairwise([0, *cuts, n])]
    if data.draw(st.booleans()):
        batches.insert(1, batches[0])
    return batches


as_ofs = st.integers(-10, 120).map(lambda days: START + days * 24 * HOUR + 5 * HOUR) | st.integers(0, 500).map(
    lambda minutes: START + minutes * MINUTE
)
thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@thorough
@given(worlds(), as_ofs, st.data(), st.just(500) | st.integers(1, 6))
def test_stored_features_equal_the_oracle(world, as_of, data, limit):
    result = folded(SHOP, world, random_batches(len(world.interactions), data), Limits(purchases=limit, recent=3))
    report = check_features(
        SHOP, world.interactions, world.items,
        partial(customer_rows, SHOP, result, as_of), partial(item_rows, SHOP, result, as_of),
        as_of, Bounds(history=limit, recent=3),
    )  # fmt: skip
    assert report.mismatched == 0, str(report)


@thorough
@given(worlds(), as_ofs, st.data(), st.sampled_from([4, 500]))
def test_pair_columns_equal_the_oracle(world, as_of, data, limit):
    result = folded(SHOP, world, random_batches(len(world.interactions), data), Limits(purchases=limit, recent=3))
    n, m = len(result.customer_ids), len(result.catalogue)
    if m == 0:
        return
    candidates, offsets = np.tile(np.arange(m), n), np.arange(n + 1) * m
    columns = pair_columns(
        SHOP,
        histories_of(result.customers),
        candidates,
        offsets,
        result.catalogue,
        trend_of(result, as_of)[candidates],
        as_of,
    )
    oracle = Oracle(SHOP, world.interactions, world.items, as_of, Bounds(history=limit, recent=3))
    customers = np.repeat(np.array(result.customer_ids, dtype=object), m).tolist()
    report = check_pairs(oracle, customers, result.catalogue.item_ids * n, columns)
    assert report.mismatched == 0, str(report)
    assert {column.column for column in report.columns} == {f"pair.{name}" for name in columns}


@pytest.mark.parametrize("attribute", ["quantity", "amount", "time"])
def test_a_single_wrong_event_is_found(attribute):
    row = {
        "event_id": ["1", "2"], "customer_id": ["c", "c"], "item_id": ["item 0", "item 1"], "type": ["purchase"] * 2,
        "time": [START, START + HOUR], "quantity": [1, 2], "amount": [100, 200], "rating": [None, None],
        "arrival": [START, START], "partition": [0, 0], "offset": [0, 1],
    }  # fmt: skip
    true = World(pa.table(row).cast(_schema()), [])
    wrong = World(pa.table({**row, attribute: [row[attribute][0], row[attribute][1] + 1]}).cast(_schema()), [])
    result = folded(SHOP, wrong, [np.arange(2)], Limits())
    report = check_features(
        SHOP, true.interactions, [],
        partial(customer_rows, SHOP, result, START), partial(item_rows, SHOP, result, START), START,
    )  # fmt: skip
    assert report.mismatched > 0
    assert "customer.history" in {mismatch.column for mismatch in report.worst}


def _schema() -> pa.Schema:
    text, number = pa.string(), pa.int64()
    kinds = {"event_id": text, "customer_id": text, "item_id": text, "type": text, "rating": pa.float32()}
    names = [
        "event_id",
        "customer_id",
        "item_id",
        "type",
        "time",
        "quantity",
        "amount",
        "rating",
        "arrival",
        "partition",
        "offset",
    ]
    return pa.schema([(name, kinds.get(name, number)) for name in names])
