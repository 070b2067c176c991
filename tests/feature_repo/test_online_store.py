"""The fast store on a real Redis and on a real two-node cluster: the same suite for both."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.online_store import CATALOGUE_VERSION, POSITION, OnlineStore, Outcome
from feature_repo.redis_commands import CHUNK, Client, connect
from feature_repo.rows import Rows, Selection
from feature_repo.shop import load_shop
from feature_repo.value_proto import ValueType
from feature_repo.views import ViewLayout, customer_profile, customer_purchases, item_catalogue
from tests.feature_repo.redis_processes import cluster, server

SHOP = load_shop("complete_journey")
PURCHASES = customer_purchases(SHOP)
PROFILE = customer_profile(SHOP)
NOON = 1_500_000_000_000_000
DEFAULTS: dict[ValueType, Any] = {ValueType.INT64: 0, ValueType.STRING: "", ValueType.BYTES: b"", ValueType.BOOL: True}


def columns(layout: ViewLayout, n: int, **given_columns: Any) -> dict[str, Any]:
    return {name: [DEFAULTS[kind]] * n for name, kind in layout.features} | given_columns


@pytest.fixture(scope="module", params=["server", "cluster"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    directory = tmp_path_factory.mktemp("redis")
    if request.param == "cluster":
        with cluster(directory) as url:
            yield connect(url)
    else:
        with server(directory) as node:
            yield connect(f"redis://127.0.0.1:{node.connection_pool.connection_kwargs['port']}")


@pytest.fixture
def store(client: Client) -> OnlineStore:
    client.flushall()
    return OnlineStore(client)


def write(store: OnlineStore, name: str, position: int, at: int = NOON, **options: Any) -> Outcome:
    given_columns = columns(PURCHASES, 1, purchases=[position])
    outcome = store.write_rows(PURCHASES, [name], given_columns, np.array([at]), [position], **options)
    return Outcome(int(outcome[0]))


def read(store: OnlineStore, *names: str) -> Rows:
    return store.read_rows(Selection.of(PURCHASES, extra=(POSITION,)), names)


def test_rows_read_back_value_for_value(store: OnlineStore) -> None:
    n = 2 * CHUNK + 3
    ids = [f"kundin-{i} ⛵" for i in range(n)]
    given_columns = columns(
        PURCHASES,
        n,
        purchases=np.arange(n) * 10**12,
        spend=[None, -5, 2**62] * (n // 3) + [0] * (n % 3),
        most_purchased_brand=[f"Blåbær {i % 7}" for i in range(n)],
        last_purchased_brand=[None] * n,
        history=[bytes(i % 700) for i in range(n)],
    )
    ids_field = [b"%d" % i for i in range(n)]
    outcomes = store.write_rows(
        PURCHASES, ids, given_columns, NOON + np.arange(n), np.arange(n), extra={"hw:ids": ids_field}
    )
    assert (outcomes == Outcome.WRITTEN).all()
    rows = store.read_rows(Selection.of(PURCHASES, extra=(POSITION, "hw:ids")), ids)
    for name, _ in PURCHASES.features:
        expected = given_columns[name]
        assert rows.values(PURCHASES.name, name) == (expected.tolist() if name == "purchases" else expected)
    assert rows.int64(PURCHASES.name, "purchases").tolist() == given_columns["purchases"].tolist()
    assert rows.blobs(PURCHASES.name, "history") == given_columns["history"]
    assert rows.strings(PURCHASES.name, "last_purchased_brand") == [""] * n
    assert rows.own_field("hw:ids") == ids_field
    assert rows.versions(POSITION).tolist() == list(range(n))
    assert rows.event_times(PURCHASES.name).tolist() == (NOON + np.arange(n)).tolist()
    assert rows.present.all()


def test_a_missing_entity_is_reported(store: OnlineStore) -> None:
    write(store, "known", 1)
    rows = read(store, "unknown", "known")
    assert rows.present.tolist() == [False, True]
    assert rows.values(PURCHASES.name, "purchases") == [None, 1]
    assert rows.event_times(PURCHASES.name).tolist() == [-1, NOON]
    assert rows.versions(POSITION).tolist() == [-2, 1]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-1, 5), max_size=12))
def test_only_a_growing_position_is_written(store: OnlineStore, positions: list[int]) -> None:
    store.delete_entities(PURCHASES.entity, ["a"])
    newest = None
    for position in positions:
        outcome = write(store, "a", position)
        if newest is None or position > newest:
            assert outcome is Outcome.WRITTEN
            newest = position
        else:
            assert outcome is (Outcome.SAME if position == newest else Outcome.NEWER)
        assert read(store, "a").int64(PURCHASES.name, "purchases").tolist() == [newest]


def test_within_a_batch_the_newest_row_of_an_entity_wins(store: OnlineStore) -> None:
    positions = [4, 9, 7]
    outcomes = store.write_rows(
        PURCHASES, ["a"] * 3, columns(PURCHASES, 3, purchases=positions), np.full(3, NOON), positions
    )
    assert outcomes.tolist() == [Outcome.WRITTEN, Outcome.WRITTEN, Outcome.NEWER]
    assert read(store, "a").int64(PURCHASES.name, "purchases").tolist() == [9]


def test_a_repeated_backfill_replaces_only_a_backfill(store: OnlineStore) -> None:
    assert write(store, "a", -1, replace_same=True) is Outcome.WRITTEN
    assert write(store, "a", -1, replace_same=True) is Outcome.WRITTEN
    assert write(store, "a", 0) is Outcome.WRITTEN
    assert write(store, "a", -1, replace_same=True) is Outcome.NEWER


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 2**51) | st.integers(NOON - 2, NOON + 2), min_size=1, max_size=8))
def test_event_times_grow_strictly(store: OnlineStore, instants: list[int]) -> None:
    store.delete_entities(PURCHASES.entity, ["a"])
    before = -1
    for position, instant in enumerate(instants):
        write(store, "a", position, at=instant)
        (written,) = read(store, "a").event_times(PURCHASES.name).tolist()
        assert written == max(instant, before + 1)
        before = written


def test_views_of_one_entity_share_a_hash_and_have_versions_of_their_own(store: OnlineStore) -> None:
    write(store, "a", 100)
    profile = columns(PROFILE, 1, age=["35-44"])
    written = store.write_rows(PROFILE, ["a"], profile, np.array([NOON]), [3], version_field="hw:profile")
    assert written.tolist() == [Outcome.WRITTEN]
    rows = store.read_rows(Selection.of(PURCHASES, PROFILE, features={PURCHASES.name: ["purchases"]}), ["a"])
    assert rows.int64(PURCHASES.name, "purchases").tolist() == [100]
    assert rows.strings(PROFILE.name, "age") == ["35-44"]
    with pytest.raises(KeyError, match="was not selected"):
        rows.values(PURCHASES.name, "spend")


def test_a_view_is_deleted_alone_and_stays_fenced(store: OnlineStore) -> None:
    catalogue = item_catalogue(SHOP)
    item = columns(catalogue, 1, name=["Milk"])
    options = {"version_field": CATALOGUE_VERSION}
    store.write_rows(catalogue, ["m"], item, np.array([NOON]), [5], **options)
    store.client.hset(store.keys(catalogue.entity, ["m"])[0], "hw:p:0", b"partial")
    assert store.delete_rows(catalogue, ["m"], [4], **options).tolist() == [Outcome.NEWER]
    assert store.delete_rows(catalogue, ["m"], [6], **options).tolist() == [Outcome.WRITTEN]
    rows = store.read_rows(Selection.of(catalogue, extra=("hw:p:0",)), ["m"])
    assert rows.values(catalogue.name, "name") == [None]
    assert rows.own_field("hw:p:0") == [b"partial"]
    late = store.write_rows(catalogue, ["m"], item, np.array([NOON]), [5], **options)
    assert late.tolist() == [Outcome.NEWER]


def test_deleting_entities_removes_everything_of_them(store: OnlineStore) -> None:
    write(store, "a", 1)
    write(store, "b", 1)
    assert store.delete_entities(PURCHASES.entity, ["a", "nobody"]) == 1
    assert read(store, "a", "b").present.tolist() == [False, True]
    assert store.client.hgetall(store.keys(PURCHASES.entity, ["a"])[0]) == {}


def test_wrong_columns_are_refused(store: OnlineStore) -> None:
    whole = columns(PURCHASES, 1)
    partial = {name: values for name, values in whole.items() if name != "spend"}
    with pytest.raises(ValueError, match="spend"):
        store.write_rows(PURCHASES, ["a"], partial, np.array([NOON]), [1])
    with pytest.raises(ValueError, match="1 ids, but columns of other lengths"):
        store.write_rows(PURCHASES, ["a"], whole, np.array([NOON]), [1, 2])
    with pytest.raises(ValueError, match="before 1970"):
        store.write_rows(PURCHASES, ["a"], whole, np.array([-1]), [1])
    assert not read(store, "a").present.any()


def test_a_server_that_forgot_the_scripts_is_taught_them_again(store: OnlineStore) -> None:
    write(store, "a", 1)
    store.client.script_flush()
    assert write(store, "a", 2) is Outcome.WRITTEN


def test_a_connection_that_broke_is_replaced(store: OnlineStore) -> None:
    write(store, "a", 1)
    nodes = [store.client] if isinstance(store.client, redis.Redis) else [
        store.client.get_redis_connection(node) for node in store.client.get_primaries()
    ]  # fmt: skip
    for node in nodes:
        node.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert write(store, "a", 2) is Outcome.WRITTEN
    assert read(store, "a").versions(POSITION).tolist() == [2]


def test_an_error_leaves_no_replies_behind_for_the_next(store: OnlineStore) -> None:
    n = 2 * CHUNK
    history = [b"x"] * (n - 1) + ["not bytes"]
    write(store, "a", 1)
    with pytest.raises(TypeError):
        store.write_rows(PURCHASES, ["b"] * n, columns(PURCHASES, n, history=history), np.full(n, NOON), np.arange(n))
    extra: Any = {"hw:ids": [b""] * (n - 1) + [object()]}
    with pytest.raises(TypeError):
        store.write_rows(PURCHASES, ["b"] * n, columns(PURCHASES, n), np.full(n, NOON), np.arange(n), extra=extra)
    assert read(store, "a").versions(POSITION).tolist() == [1]
    assert read(store, "a", "nobody").present.tolist() == [True, False]


def test_a_server_that_is_away_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    with server(tmp_path_factory.mktemp("gone")) as node:
        port = node.connection_pool.connection_kwargs["port"]
    gone = OnlineStore(connect(f"redis://127.0.0.1:{port}", retries=1))
    with pytest.raises(redis.ConnectionError, match=str(port)):
        read(gone, "a")


def test_views_of_two_entities_are_not_read_together() -> None:
    with pytest.raises(ValueError, match="one entity"):
        Selection.of(PURCHASES, item_catalogue(SHOP))


def test_an_update_makes_the_row_that_a_whole_write_would_have_made(store: OnlineStore) -> None:
    n = CHUNK + 7
    ids, whole = [f"c{i}" for i in range(n)], columns(PURCHASES, n, purchases=np.arange(n), history=[b"h"] * n)
    store.write_rows(PURCHASES, ids, whole, np.full(n, NOON), np.full(n, 4), extra={"hw:ids": [b"old"] * n})
    recent, times = [bytes([i % 7]) * (i % 300) for i in range(n)], np.full(n, NOON + 5)
    outcomes = store.post_updates(
        PURCHASES, ids, {"recent": recent}, times, np.full(n, 9), np.full(n, 4), extra={"hw:ids": [b"new"] * n}
    )()
    assert (outcomes == Outcome.WRITTEN).all()
    others = [f"o{i}" for i in range(n)]
    store.write_rows(
        PURCHASES, others, {**whole, "recent": recent}, times, np.full(n, 9), extra={"hw:ids": [b"new"] * n}
    )
    selection = Selection.of(PURCHASES, extra=(POSITION, "hw:ids"))
    assert store.read_rows(selection, ids).raw == store.read_rows(selection, others).raw


def test_an_update_of_another_version_changes_nothing(store: OnlineStore) -> None:
    write(store, "a", 4)
    before = read(store, "a", "nobody").raw
    for base in (3, 5):
        outcomes = store.post_updates(
            PURCHASES, ["a", "nobody"], {"recent": [b"x"] * 2}, np.full(2, NOON + 1), [9, 9], [base, base]
        )()
        assert outcomes.tolist() == [Outcome.OTHER] * 2
    assert read(store, "a", "nobody").raw == before
    # A time that has not grown grows by a microsecond, as in a whole write.
    assert store.post_updates(PURCHASES, ["a"], {"recent": [b"x"]}, np.array([NOON]), [9], [4])().tolist() == [1]
    assert read(store, "a").event_times(PURCHASES.name).tolist() == [NOON + 1]
