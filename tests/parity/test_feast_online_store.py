"""What the fast store writes, Feast reads, and the other way round, value for value."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from feature_repo.catalogue import Catalogue
from feature_repo.customer_features import customer_features
from feature_repo.customer_state import RECENT, CustomerStates
from feature_repo.items_state import ITEM_STATE, SLOT, TOTALS, empty_items
from feature_repo.on_demand import CUSTOMER_RFM, CUSTOMER_SESSION, ITEM_POPULARITY
from feature_repo.online_store import POSITION, VERSION, OnlineStore, Outcome
from feature_repo.popularity import popularity
from feature_repo.purchases import DAY, PURCHASE
from feature_repo.redis_commands import connect
from feature_repo.rfm import RFM_STATE, rfm
from feature_repo.rows import Selection
from feature_repo.shop import shop_from_environment
from feature_repo.trends import trend_scores
from feature_repo.value_proto import ValueType
from feature_repo.views import Entity, ViewLayout, views

SHOP = shop_from_environment()
LAYOUTS = views(SHOP)
NOON = 1_500_000_000_123_456
WORDS = ["", "milk", "Crème brûlée", "牛乳 🥛", "x" * 127, "y" * 128, "z" * 20_000]
NUMBERS = [0, 1, -1, 127, 128, -128, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)]
BLOBS = [b"", b"\x00", bytes(range(256)), b"\xff" * 98_304]


@pytest.fixture
def store(redis_url: str) -> OnlineStore:
    client = connect(redis_url)
    client.flushall()
    return OnlineStore(client)


def example(kind: ValueType, i: int) -> Any:
    """A value of a type, different from row to row."""
    if kind is ValueType.BOOL:
        return i % 2 == 0
    choices: list[Any] = {ValueType.STRING: WORDS, ValueType.INT64: NUMBERS, ValueType.BYTES: BLOBS}[kind]
    return choices[i % len(choices)]


def examples(layout: ViewLayout, n: int) -> dict[str, list[Any]]:
    return {name: [example(kind, i + j) for i in range(n)] for j, (name, kind) in enumerate(layout.features)}


def names_of(layout: ViewLayout, n: int) -> list[str]:
    return [f"{layout.entity.name} {i} ü" for i in range(n)]


def references(layout: ViewLayout) -> list[str]:
    return [f"{layout.name}:{name}" for name in layout.names]


def entity_rows(entity: Entity, ids: list[str], **request: Any) -> list[dict[str, Any]]:
    return [{entity.join_key: name, **request} for name in ids]


def feast_reads(feature_store: Any, layout: ViewLayout, ids: list[str]) -> Any:
    return feature_store.get_online_features(references(layout), entity_rows(layout.entity, ids))


def frame(layout: ViewLayout, ids: list[str], columns: dict[str, list[Any]], at: datetime) -> pd.DataFrame:
    data = {layout.entity.join_key: ids, **columns, "event_timestamp": [at] * len(ids)}
    types = {name: "Int64" for name, kind in layout.features if kind is ValueType.INT64}
    return pd.DataFrame(data).astype(types)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_feast_reads_what_the_fast_store_writes(feature_store: Any, store: OnlineStore, layout: ViewLayout) -> None:
    n = 40
    ids, columns, instants = names_of(layout, n), examples(layout, n), NOON + np.arange(n)
    store.write_rows(layout, ids, columns, instants, np.arange(n), extra={"hw:evicted": [b"\x01"] * n})
    response = feast_reads(feature_store, layout, ids)
    found = response.to_dict()
    for name in layout.names:
        assert found[name] == columns[name], name
    # Feast answers with each feature's event time, which it passes through a float of seconds.
    for vector in response.proto.results[1:]:
        seen = [stamp.ToMicroseconds() for stamp in vector.event_timestamps]
        assert np.abs(np.array(seen) - instants).max() <= 1


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_the_fast_store_reads_what_is_pushed_through_feast(
    feature_store: Any, store: OnlineStore, layout: ViewLayout
) -> None:
    n = 12
    ids, columns = names_of(layout, n), examples(layout, n)
    at = datetime(2017, 7, 14, 2, 40, 0, 123456, tzinfo=UTC)
    half = n // 2
    first = frame(layout, ids[:half], {name: values[:half] for name, values in columns.items()}, at)
    second = frame(layout, ids[half:], {name: values[half:] for name, values in columns.items()}, at)
    feature_store.push(f"{layout.name}_push", first)
    feature_store.write_to_online_store(layout.name, second)
    rows = store.read_rows(Selection.of(layout), ids)
    for name in layout.names:
        assert rows.values(layout.name, name) == columns[name], name
    assert rows.event_times(layout.name).tolist() == [NOON] * n


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_both_write_the_same_bytes(feature_store: Any, store: OnlineStore, redis_url: str, layout: ViewLayout) -> None:
    n = 12
    ids, columns = names_of(layout, n), examples(layout, n)
    keys = store.keys(layout.entity, ids)
    at = datetime(2017, 7, 14, 2, 40, 0, 123456, tzinfo=UTC)
    feature_store.push(f"{layout.name}_push", frame(layout, ids, columns, at))
    by_feast = [store.client.hgetall(key) for key in keys]
    assert store.client.dbsize() == n
    store.client.flushall()
    store.write_rows(layout, ids, columns, np.full(n, NOON), np.zeros(n, dtype=np.int64))
    by_us = [store.client.hgetall(key) for key in keys]
    for row in by_us:
        assert row.pop(POSITION.encode()) == b"0"
    assert by_us == by_feast


def test_absent_values_are_none_both_ways(feature_store: Any, store: OnlineStore) -> None:
    layout = LAYOUTS[0]
    nothing: dict[str, list[Any]] = {name: [None] for name in layout.names}
    store.write_rows(layout, ["ours"], nothing, np.array([NOON]), [1])
    ours = feast_reads(feature_store, layout, ["ours", "nobody"]).to_dict()
    some = {**nothing, "purchases": [3]}
    types = {name: "Int64" for name, kind in layout.features if kind is ValueType.INT64}
    at = datetime(2020, 1, 1, tzinfo=UTC)
    data = pd.DataFrame({"customer_id": ["theirs"], **some, "event_timestamp": [at]}).astype(types)
    feature_store.push(f"{layout.name}_push", data)
    rows = store.read_rows(Selection.of(layout), ["theirs", "nobody", "ours"])
    assert rows.present.tolist() == [True, False, True]
    for name in layout.names:
        assert ours[name] == [None, None]
        assert rows.values(layout.name, name) == [3 if name == "purchases" else None, None, None]


def test_feast_and_the_fast_store_take_turns(feature_store: Any, store: OnlineStore) -> None:
    """Each writes after the other; neither's time may stand in the way of the next."""
    layout = next(found for found in LAYOUTS if found.name == "item_purchases")
    selection = Selection.of(layout, extra=(VERSION,))
    start = datetime(2021, 5, 5, tzinfo=UTC)
    micros = int(start.timestamp()) * 1_000_000

    def push(purchases: int, at: datetime) -> None:
        columns = examples(layout, 1) | {"purchases": [purchases]}
        feature_store.push(f"{layout.name}_push", frame(layout, ["i"], columns, at))

    def write(purchases: int, at: int, version: int) -> int:
        columns = examples(layout, 1) | {"purchases": [purchases]}
        outcomes = store.write_rows(layout, ["i"], columns, np.array([at]), [version], version_field=VERSION)
        return int(outcomes[0])

    def now() -> tuple[int, int]:
        rows = store.read_rows(selection, ["i"])
        return int(rows.int64(layout.name, "purchases")[0]), int(rows.event_times(layout.name)[0])

    push(1, start)
    assert now() == (1, micros)
    assert write(2, micros, version=7) == Outcome.WRITTEN  # the same instant: one microsecond on
    assert now() == (2, micros + 1)
    push(3, start)  # Feast keeps the newer row
    assert now() == (2, micros + 1)
    push(4, start + timedelta(seconds=1))
    assert now() == (4, micros + 1_000_000)
    assert write(5, micros, version=7) == Outcome.SAME
    assert write(6, micros, version=8) == Outcome.WRITTEN
    assert now() == (6, micros + 1_000_001)
    found = feast_reads(feature_store, layout, ["i"]).to_dict()
    assert found["purchases"] == [6]


def test_customer_rfm_is_the_kernel(feature_store: Any, store: OnlineStore) -> None:
    layout = LAYOUTS[0]
    n = 5
    ids = names_of(layout, n)
    blank = customer_features(SHOP, CustomerStates.empty(n), Catalogue(SHOP.item_attributes))
    state = {
        "purchases": np.array([9, 1, 40, 0, 7]),
        "quantity": np.array([11, 1, 90, 0, 7]),
        "spend": np.array([12_345, 99, 1_000_000, 0, 0]),
        "shopping_days": np.array([3, 1, 20, 0, 2]),
        "first_purchase_at": NOON - np.array([90, 5, 300, NOON // DAY, 40]) * DAY,
        "last_purchase_at": NOON - np.array([2, 5, 1, NOON // DAY, 39]) * DAY,
    }
    state["first_purchase_at"][3] = state["last_purchase_at"][3] = 0
    columns = {name: values.tolist() for name, values in (blank | state).items()}
    store.write_rows(layout, ids, columns | {"history": [b""] * n, "recent": [b""] * n}, np.full(n, NOON), range(n))
    names = [name for name in rfm(state, NOON, SHOP.currency_exponent) if name not in RFM_STATE]
    found = feature_store.get_online_features(
        [f"customer_rfm:{name}" for name in names],
        entity_rows(layout.entity, [*ids, "nobody"], as_of=NOON + DAY),
    ).to_dict()
    everyone = {name: np.append(state[name], 0) for name in RFM_STATE}
    expected = rfm(everyone, NOON + DAY, SHOP.currency_exponent)
    assert names == list(CUSTOMER_RFM)
    for name in names:
        assert found[name] == expected[name].tolist(), name


def test_customer_session_is_the_kernel(feature_store: Any, store: OnlineStore) -> None:
    layout, minute = LAYOUTS[0], 60_000_000
    ago = {
        "looking": ([30, 5, 1], []),
        "buying": ([], [12]),
        "both": ([3], [40]),
        "gone": ([45], []),
        "silent": ([], []),
    }
    recent, lines = [], []
    for looks, bought in ago.values():
        own, paid = np.zeros(len(looks), RECENT), np.zeros(len(bought), PURCHASE)
        own["time"], own["type"] = NOON - np.array(looks, dtype=np.int64) * minute, 1
        paid["time"], paid["quantity"] = NOON - np.array(bought, dtype=np.int64) * minute, 1
        recent.append(own.tobytes())
        lines.append(paid.tobytes())
    n, ids = len(ago), list(ago)
    blank = customer_features(SHOP, CustomerStates.empty(n), Catalogue(SHOP.item_attributes))
    columns = {name: values.tolist() for name, values in blank.items()} | {"history": lines, "recent": recent}
    store.write_rows(layout, ids, columns, np.full(n, NOON), range(n))
    found = feature_store.get_online_features(
        [f"customer_session:{name}" for name in CUSTOMER_SESSION],
        entity_rows(layout.entity, [*ids, "nobody"], as_of=NOON),
    ).to_dict()
    assert found["session_events"] == [3, 1, 1, 0, 0, 0]
    assert found["session_minutes"] == [30, 12, 3, 0, 0, 0]


def test_item_popularity_is_the_kernel(feature_store: Any, store: OnlineStore) -> None:
    layout = next(found for found in LAYOUTS if found.name == "item_purchases")
    n = 30
    generator = np.random.default_rng(7)
    states = empty_items(n)
    states["newest_day"] = NOON // DAY - generator.integers(0, 60, n)
    states["daily"] = generator.integers(0, 9, states["daily"].shape)
    states["hot_slot"] = NOON // SLOT - generator.integers(0, 40, n)
    states["hot"] = generator.integers(0, 9, states["hot"].shape)
    for name in ("purchases", "quantity", "spend", "buyers", "repeats"):
        states[name] = generator.integers(1, 1000, n)
    ids = names_of(layout, n)
    numbers = {name: states[name] for name in layout.names if name not in ("daily", "hot")}
    rings = {name: [ring.tobytes() for ring in states[name]] for name in ("daily", "hot")}
    store.write_rows(layout, ids, {**numbers, **rings}, np.full(n, NOON), range(n), version_field=VERSION)
    service = feature_store.get_feature_service("ranking_v1")
    later = [0, 7 * SLOT, DAY, 2 * DAY]
    rows = [{"item_id": name, "customer_id": "nobody", "as_of": NOON + later[i % 4]} for i, name in enumerate(ids)] + [
        {"item_id": "unheard of", "customer_id": "nobody", "as_of": NOON}
    ]
    found = feature_store.get_online_features(service, rows, full_feature_names=True).to_dict()
    expected = np.concatenate([states, empty_items(1)]).astype(ITEM_STATE)
    for i, row in enumerate(rows):
        one = expected[i : i + 1]
        wanted = popularity(one, row["as_of"]) | {"trending": trend_scores(one, row["as_of"])}
        assert set(wanted) - set(TOTALS) == set(ITEM_POPULARITY)
        for name in ITEM_POPULARITY:
            assert found[f"item_popularity__{name}"][i] == wanted[name][0], (name, i)
    for name, ring in rings.items():
        assert found[f"item_purchases__{name}"] == [*ring, None]
    assert len({score > 0 for score in found["item_popularity__trending"]}) == 2
    assert found["customer_purchases__purchases"] == [None] * (n + 1)
