"""The one hash that decides who may write a partition, and from where."""

import pytest

from feature_repo.redis_commands import Client, connect
from streams.ingest.partition_log import LostPartitionError, PartitionLog, WriteAhead, applied_position

ITEMS = [("a", b"part of a"), ("b", b"part of b")]


@pytest.fixture
def client(redis_url: str) -> Client:
    found = connect(redis_url, retries=0)
    found.flushall()
    return found


def taken(client: Client, start: int = 0) -> PartitionLog:
    log = PartitionLog(client, 2)
    log.claim()
    log.resume(start)
    return log


def test_an_untouched_partition(client: Client) -> None:
    log = PartitionLog(client, 2)
    assert applied_position(client, 2) is None
    assert log.claim()[1:] == (None, None, None)
    log.resume(7)
    assert log.claim()[1:] == (7, 7, None)
    assert applied_position(client, 2) == 7
    assert applied_position(client, 1) is None


def test_a_batch_counts_as_applied_once_the_next_is_begun_or_it_is_finished(client: Client) -> None:
    log = taken(client)
    log.begin(0, 10, ITEMS)
    assert applied_position(client, 2) == 0
    log.begin(10, 15, [])
    assert applied_position(client, 2) == 10
    log.finish(15)
    assert applied_position(client, 2) == 15


def test_a_successor_finds_the_batch_that_was_begun(client: Client) -> None:
    log = taken(client)
    log.begin(0, 10, ITEMS)
    assert PartitionLog(client, 2).claim()[1:] == (0, 10, WriteAhead(0, 10, ITEMS))


def test_once_resumed_the_unfinished_batch_is_gone_but_its_items_still_count(client: Client) -> None:
    taken(client).begin(0, 10, ITEMS)
    successor = taken(client, 0)
    assert successor.claim()[1:] == (0, 10, None)


def test_reading_again_from_earlier_moves_nothing_back(client: Client) -> None:
    log = taken(client)
    log.begin(0, 10, ITEMS)
    log.finish(10)
    again = taken(client, 3)
    again.begin(3, 6, [])
    again.finish(6)
    assert again.claim()[1:] == (10, 10, None)


def test_an_earlier_owner_is_refused_everything(client: Client) -> None:
    log = taken(client)
    log.check()
    successor = PartitionLog(client, 2)
    successor.claim()
    for attempt in (
        lambda: log.resume(0),
        lambda: log.begin(0, 10, ITEMS),
        lambda: log.finish(0),
        lambda: log.check(),
    ):
        with pytest.raises(LostPartitionError, match="partition 2 of interactions: its fence is not 1 any more"):
            attempt()
    assert successor.claim()[1:] == (0, 0, None)


def test_a_redis_that_is_older_than_the_worker_is_noticed(client: Client) -> None:
    log = taken(client)
    log.begin(0, 10, ITEMS)
    before = client.hgetall("hw:stream:2")
    log.begin(10, 20, ITEMS)
    client.delete("hw:stream:2")
    client.hset("hw:stream:2", mapping=before)
    with pytest.raises(LostPartitionError, match=r"Redis expects offset b'10', not 20"):
        log.begin(20, 30, [])
    with pytest.raises(LostPartitionError, match="it came back older than it was"):
        log.finish(20)


def test_an_emptied_redis_is_noticed(client: Client) -> None:
    log = taken(client)
    client.flushall()
    for attempt in (lambda: log.begin(0, 1, []), lambda: log.check()):
        with pytest.raises(LostPartitionError, match="or Redis was emptied"):
            attempt()
