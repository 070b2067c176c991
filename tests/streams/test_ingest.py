"""Events in, rows right: the hot path on a real Kafka and a real Redis, compared with one pass over the topic."""

import random
from collections import Counter

import pytest

from feature_repo.events import Outcome
from streams.contracts.codec import encode
from streams.contracts.operations import Reason
from streams.ingest import service
from streams.ingest.partition_log import LostPartitionError
from streams.ingest.worker import Pace, Worker
from streams.sources.malformed import malformed_records
from tests.streams.ingest_site import START, IngestSite, made_events, made_items


def test_the_stores_hold_what_one_pass_gives(site: IngestSite) -> None:
    site.publish_items(made_items())
    events = made_events(3000)
    site.publish_events(events[:1000])
    with site.running():
        site.publish_events(events[1000:])
        site.wait_until_applied()
    expected = site.one_pass()
    outcomes = Counter(int(o) for _, folded in expected.parts for o in folded.outcome)
    assert outcomes[Outcome.DUPLICATE] == len(events) - 3000 > 0
    site.assert_equals_one_pass()


def test_a_second_start_changes_nothing(site: IngestSite) -> None:
    site.publish_events(made_events(500))
    with site.running():
        site.wait_until_applied()
    before = site.client.dbsize()
    with site.running():
        site.wait_until_applied()
    assert site.client.dbsize() == before
    site.assert_equals_one_pass()


def test_malformed_records_become_dead_letters_and_good_ones_count(site: IngestSite) -> None:
    rng = random.Random(1)
    good = [(event.customer_id.encode(), encode(event)) for event in made_events(1000, customers=30)]
    bad = list(malformed_records(1000, START * 1000))
    mixed = [*good, *((each.key, each.value) for each in bad)]
    rng.shuffle(mixed)
    site.publish(site.settings.topics.interactions.name, mixed)
    with site.running():
        site.wait_until_applied()
    letters = site.dead_letters()
    assert sorted((each.key, each.value, each.reason) for each in letters) == sorted(bad)
    assert len({(each.partition, each.offset) for each in letters}) == len(bad)
    expected = site.one_pass()
    assert sum(len(batch) for batch, _ in expected.parts) == len(good)
    site.assert_equals_one_pass()


class Crash(BaseException):
    """Stands for the process's end."""


@pytest.mark.parametrize("step", ["flush", "begin", "customers", "items", "changelog", "applied"])
def test_a_crash_between_any_two_writes_is_made_good(
    site: IngestSite, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing leaves on its own before a flush, so that a crash loses what was only queued.
    monkeypatch.setitem(service._PRODUCER, "linger.ms", 500)
    events = made_events(1200, customers=40)
    site.publish_events(events[:600])
    with site.running():
        site.wait_until_applied()
    site.publish_events(events[600:])
    for countdown in (1, 3, 2):
        _crash_at(site, step, countdown)
    with site.running():
        site.wait_until_applied()
    site.assert_equals_one_pass()


def _crash_at(site: IngestSite, step: str, countdown: int) -> None:
    """Work until a step comes for the given time, then leave as if killed: nothing more is written or committed."""
    left = countdown

    def fail(name: str) -> None:
        nonlocal left
        left -= name == step
        if left == 0:
            worker._applier._sender._producer.purge()
            raise Crash

    worker = site.worker(step=fail)
    worker.pace = Pace(records=120)
    worker.join_group()
    with pytest.raises(Crash):
        _cycles(worker, 200)
    worker.abandon()


def _cycles(worker: Worker, n: int) -> None:
    for _ in range(n):
        worker.cycle()


def test_workers_come_and_go(site: IngestSite) -> None:
    events = made_events(4000)
    with site.running():
        site.publish_events(events[:1000])
        with site.running():
            site.publish_events(events[1000:2000])
            site.wait_until_applied()
            with site.running():
                site.publish_events(events[2000:3000])
        site.publish_events(events[3000:])
        site.wait_until_applied()
    site.assert_equals_one_pass()


def test_a_worker_that_lost_its_partitions_unawares_writes_nothing_more(site: IngestSite) -> None:
    events = made_events(900)
    zombie = site.worker()
    zombie.join_group()
    site.publish_events(events[:300])
    ends = site.ends()
    while site.applied() != ends:
        zombie.cycle()
    zombie._let_go()
    # What a process does that sleeps right after polling, while another takes its place.
    site.publish_events(events[300:600])
    asleep = zombie._poll()
    while len(asleep) < 300:
        asleep += zombie._poll()
    other = site.worker()
    for partition in range(4):
        held, start = other._starts.take(other._consumer, partition, other._applier)
        other._held[partition], other._next[partition] = held, start
        other._offline.open(partition, start)
    for records in zombie._by_partition(asleep):
        other._apply_all([records])
    for records in zombie._by_partition(asleep):
        with pytest.raises(LostPartitionError):
            zombie._apply_all([records])
    zombie.abandon()
    other.abandon()
    site.publish_events(events[600:])
    with site.running():
        site.wait_until_applied()
    site.assert_equals_one_pass()


def test_a_giant_record_is_put_aside_whole(site: IngestSite) -> None:
    giant = b'{"event_id": "' + b"x" * 900_000 + b'"}'
    event = made_events(1)[0]
    site.publish(site.settings.topics.interactions.name, [(event.customer_id.encode(), giant)])
    site.publish_events([event])
    with site.running():
        site.wait_until_applied()
    assert [(each.reason, each.value) for each in site.dead_letters()] == [(Reason.TOO_LARGE, giant)]
    site.assert_equals_one_pass()


def test_a_customer_on_a_partition_that_is_not_its_own_is_refused(site: IngestSite) -> None:
    event = made_events(1)[0]
    topic = site.settings.topics.interactions.name
    for partition in range(4):
        site.producer.produce(topic, encode(event), event.customer_id.encode(), partition=partition)
    site.producer.flush(30)
    with site.running():
        site.wait_until_applied()
    assert [each.reason for each in site.dead_letters()] == [Reason.WRONG_PARTITION] * 3
    site.assert_equals_one_pass()
