"""Records read with their positions and in pages, on a Redis server and on a cluster of two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feature_repo import record_store
from feature_repo.record_store import Place, RecordStore, Stored
from feature_repo.redis_commands import Client, connect
from tests.feature_repo.redis_processes import cluster, server


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
def customers(client: Client) -> RecordStore:
    client.flushall()
    return RecordStore(client, "customer")


def put(store: RecordStore, *names: str) -> None:
    store.put(names, [b'"%s"' % name.encode() for name in names], [(0, 1)] * len(names))


def pages(store: RecordStore, count: int) -> Iterator[list[tuple[str, bytes]]]:
    place: Place | None = (0, 0)
    while place is not None:
        page, place = store.page(place, count)
        yield page


def test_a_record_comes_with_its_position(customers: RecordStore) -> None:
    put(customers, "a", "gone")
    customers.delete(["gone"], [(0, 7)])
    assert customers.read(["a", "gone", "never"]) == [Stored(b'"a"', (0, 1)), Stored(None, (0, 7)), None]


def test_pages_make_up_all_records_of_a_kind(customers: RecordStore, client: Client) -> None:
    names = [f"kundin {n}" for n in range(1000)]
    put(customers, *names)
    put(RecordStore(client, "item"), *(f"item {n}" for n in range(500)))
    customers.delete(names[:100], [(0, 2)] * 100)
    for count in (1, 30, 500, 5000):
        found = [record for page in pages(customers, count) for record in page]
        assert dict(found) == {name: b'"%s"' % name.encode() for name in names[100:]}
        assert max(map(len, pages(customers, count))) <= count + 2 * record_store.PAGE_SCANS


def test_who_is_there_all_the_time_is_listed_while_others_come_and_go(customers: RecordStore) -> None:
    put(customers, *(f"stays-{n}" for n in range(300)))
    found: set[str] = set()
    for number, page in enumerate(pages(customers, 20)):
        found |= {name for name, _ in page}
        if number < 40:
            put(customers, *(f"comes-{number}-{n}" for n in range(100)))
            customers.delete([f"comes-{number // 2}-{n}" for n in range(100)], [(0, 9)] * 100)
    assert {f"stays-{n}" for n in range(300)} <= found


def test_a_page_ends_where_records_are_few_among_other_keys(
    customers: RecordStore, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_store, "SCAN_KEYS", 100)
    put(customers, "one", "two")
    put(RecordStore(client, "item"), *(f"item {n}" for n in range(20_000)))
    lengths = [len(page) for page in pages(customers, 10)]
    assert sum(lengths) == 2
    assert len(lengths) > 2


def test_beyond_the_end_there_is_nothing(customers: RecordStore) -> None:
    put(customers, "one")
    assert customers.page((7, 0), 10) == ([], None)
