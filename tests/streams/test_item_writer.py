"""Items' parts and totals by several workers, each of whom knows only what it has read and written."""

import random

import numpy as np
import pytest

from feature_repo.entity_key import feature_field
from feature_repo.item_partials import ItemPartials
from feature_repo.items_state import ItemStates, empty_items, total
from feature_repo.online_store import VERSION, OnlineStore
from feature_repo.redis_commands import connect
from feature_repo.rows import Selection
from feature_repo.views import ITEM_PURCHASES, item_purchases
from streams.ingest.item_writer import BACKFILL, ItemWriter
from tests.streams.ingest_site import SHOP

PARTITIONS = 3
SOURCES = [*map(str, range(PARTITIONS)), BACKFILL]
TIME = 1_700_000_000_000_000
TINY = 3000
"""Bytes: room for an item or two."""


@pytest.fixture
def store(redis_url: str) -> OnlineStore:
    client = connect(redis_url)
    client.flushall()
    return OnlineStore(client)


def part(purchases: int, day: int = 17_000, looks: int = 0) -> bytes:
    state = empty_items(1)
    if looks:
        state["hot_slot"], state["hot"][0, 3] = 32 * 177 + 3, looks
    state["purchases"], state["newest_day"] = purchases, day
    state["daily"][0, day % 64] = purchases
    return state.tobytes()


def purchases(states: ItemStates) -> list[int]:
    return [int(count) for count in states["purchases"]]


def stored(store: OnlineStore, item: str) -> tuple[int, int]:
    """Purchases and version of an item's total."""
    rows = store.read_rows(Selection.of(item_purchases(SHOP), extra=(VERSION,)), [item])
    return int(rows.int64(ITEM_PURCHASES, "purchases")[0]), int(rows.versions(VERSION)[0])


def stored_looks(store: OnlineStore, item: str) -> int:
    """Weighted looks of an item's total."""
    rows = store.read_rows(Selection.of(item_purchases(SHOP)), [item])
    return int(np.frombuffer(rows.blobs(ITEM_PURCHASES, "hot")[0] or b"", "<i4").sum())


@pytest.mark.parametrize("cache_bytes", [128 << 20, TINY])
def test_totals_sum_what_all_workers_have_written_last(store: OnlineStore, cache_bytes: int) -> None:
    rng = random.Random(3)
    workers = [ItemWriter(store, SHOP, PARTITIONS, cache_bytes) for _ in SOURCES]
    counts: dict[tuple[str, str], int] = {}
    looks: dict[tuple[str, str], int] = {}
    for version in range(1, 240):
        at = rng.randrange(len(SOURCES))
        items = rng.sample([f"i{n}" for n in range(6)], rng.randint(1, 4))
        held = purchases(workers[at].parts(SOURCES[at], items))
        assert held == [counts.get((SOURCES[at], item), 0) for item in items]
        for item in items:
            mine = SOURCES[at], item
            counts[mine] = counts.get(mine, 0) + rng.choice([0, 0, 1, 9])
            looks[mine] = looks.get(mine, 0) + rng.randint(1, 9)
        written = [(item, part(counts[SOURCES[at], item], looks=looks[SOURCES[at], item])) for item in items]
        workers[at].write(SOURCES[at], version, written, TIME + version)
    for item in {item for _, item in counts}:
        expected = sum(count for (_, other), count in counts.items() if other == item)
        found = ItemPartials(store, SOURCES).read([item])
        assert stored(store, item) == (expected, int(found.total_versions()[0]))
        assert purchases(total(found.states, found.offsets)) == [expected]
        assert stored_looks(store, item) == sum(count for (_, other), count in looks.items() if other == item)


def test_a_worker_that_lost_its_source_spoils_neither_part_nor_total(store: OnlineStore) -> None:
    late, owner = ItemWriter(store, SHOP, PARTITIONS), ItemWriter(store, SHOP, PARTITIONS)
    late.write("0", 10, [("a", part(1))], TIME)
    owner.write("0", 30, [("a", part(5))], TIME + 1)
    late.write("0", 20, [("a", part(2))], TIME + 2)
    assert stored(store, "a") == (5, 30)
    assert purchases(owner.parts("0", ["a"])) == [5]
    # What it learned by being refused is what is stored.
    assert purchases(late.parts("0", ["a"])) == [5]


def test_the_same_version_may_be_written_again(store: OnlineStore) -> None:
    first, second = ItemWriter(store, SHOP, PARTITIONS), ItemWriter(store, SHOP, PARTITIONS)
    first.write(BACKFILL, 1, [("a", part(100))], TIME)
    first.write("1", 7, [("a", part(3))], TIME)
    second.write("1", 7, [("a", part(3))], TIME)
    assert stored(store, "a") == (103, 8)


def test_what_was_forgotten_is_read_again(store: OnlineStore) -> None:
    writer = ItemWriter(store, SHOP, PARTITIONS)
    writer.write("0", 5, [("a", part(4))], TIME)
    writer.forget()
    assert purchases(writer.parts("0", ["a", "new"])) == [4, 0]


def test_a_look_sends_nothing_but_looks_where_the_total_is_the_one_before(store: OnlineStore) -> None:
    writer, other = ItemWriter(store, SHOP, PARTITIONS), ItemWriter(store, SHOP, PARTITIONS)
    writer.write("0", 5, [("a", part(4, looks=1))], TIME)
    layout = item_purchases(SHOP)
    spoilt = feature_field(layout.name, "purchases")
    [key] = store.keys(layout.entity, ["a"])
    store.client.hset(key, spoilt, b"as it was")
    writer.write("0", 6, [("a", part(4, looks=2))], TIME)
    assert (store.client.hget(key, spoilt), stored_looks(store, "a")) == (b"as it was", 2)
    # Another worker's part: the total is another one, and is written whole.
    other.write("1", 3, [("a", part(10, looks=5))], TIME)
    writer.write("0", 7, [("a", part(4, looks=3))], TIME)
    assert (stored(store, "a"), stored_looks(store, "a")) == ((14, 10), 8)
