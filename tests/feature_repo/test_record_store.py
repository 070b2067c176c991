import pytest

from feature_repo.online_store import Outcome
from feature_repo.record_store import SCAN_BATCH, RecordStore
from feature_repo.redis_commands import Client, connect


@pytest.fixture
def client(redis_url: str) -> Client:
    found = connect(redis_url)
    found.flushall()
    return found


@pytest.fixture
def items(client: Client) -> RecordStore:
    return RecordStore(client, "item")


def test_records_are_replaced_by_newer_ones_only(items: RecordStore) -> None:
    assert items.put(["a", "b"], [b"{1}", b"{2}"], [(0, 5), (1, 5)]).tolist() == [Outcome.WRITTEN] * 2
    outcomes = items.put(["a", "b", "a"], [b"old", b"same", b"new"], [(0, 4), (1, 5), (0, 6)])
    assert outcomes.tolist() == [Outcome.NEWER, Outcome.SAME, Outcome.WRITTEN]
    assert items.get(["b", "nobody", "a"]) == [b"{2}", None, b"new"]
    assert items.positions(["a", "nobody"]) == [(0, 6), None]


def test_a_record_from_another_partition_replaces(items: RecordStore) -> None:
    items.put(["a"], [b"{}"], [(0, 500)])
    assert items.put(["a"], [b"{moved}"], [(3, 0)]).tolist() == [Outcome.WRITTEN]
    assert items.positions(["a"]) == [(3, 0)]


def test_a_deleted_record_is_not_brought_back_by_a_late_writer(items: RecordStore, client: Client) -> None:
    items.put(["a"], [b"{}"], [(0, 5)])
    assert items.delete(["a"], [(0, 4)]).tolist() == [Outcome.NEWER]
    assert items.delete(["a", "never"], [(0, 7), (0, 8)]).tolist() == [Outcome.WRITTEN] * 2
    assert items.get(["a"]) == [None]
    assert list(items) == []
    assert items.put(["a"], [b"{}"], [(0, 5)]).tolist() == [Outcome.NEWER]
    assert client.ttl("hw:item:a") > 0
    assert items.put(["a"], [b"{back}"], [(0, 9)]).tolist() == [Outcome.WRITTEN]
    assert client.ttl("hw:item:a") == -1


def test_all_records_of_a_kind_are_iterated(items: RecordStore, client: Client) -> None:
    n = SCAN_BATCH + 10
    ids = [f"item:*{i}" for i in range(n)]
    items.put(ids, [b"{%d}" % i for i in range(n)], [(0, i) for i in range(n)])
    RecordStore(client, "customer").put(["c"], [b"{}"], [(0, 0)])
    assert dict(items) == {name: b"{%d}" % i for i, name in enumerate(ids)}
