"""When training is asked for."""

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import offline
from streams.compaction import Compaction, Compactor
from streams.contracts.codec import encode
from streams.contracts.operations import TrainingTrigger, TriggerReason
from streams.offline import Commit
from streams.triggers import Every, NewCommits, TriggerWatch, last_trigger, new_interactions
from streams.triggers import due as due_with
from tests.streams.ingest_site import IngestSite
from tests.streams.test_compaction import Killed, fill, killed_at, rows

EVERY = Every(interactions=100, seconds=60.0, least=10)
COMMITS = [
    Commit(offline.BACKFILL, 0, 5000, 5000),
    Commit(0, 0, 40, 30),
    Commit(0, 40, 80, 40),
    Commit(1, 7, 50, 29),
]


def never(commit: Commit, first: int) -> int:
    raise AssertionError(f"asked for a part of {commit}")


due = partial(due_with, rows_from=never)


def trigger(created_at: int = 0, **positions: int) -> TrainingTrigger:
    return TrainingTrigger(
        trigger_id="t",
        reason=TriggerReason.MANUAL,
        created_at=created_at,
        positions={name[1:]: at for name, at in positions.items()},
    )


def test_too_few_are_no_reason() -> None:
    assert due(COMMITS, None, since=0, now=1000, every=EVERY) is None


def test_enough_new_ones_are() -> None:
    found = due([*COMMITS, Commit(1, 50, 51, 1)], None, since=0, now=1000, every=EVERY)
    assert found is not None
    assert (found.reason, found.interactions, found.created_at) == (TriggerReason.COUNT, 100, 1000)
    assert found.positions == {"0": 80, "1": 51}


def test_only_what_came_after_the_last_trigger_counts() -> None:
    assert due([*COMMITS, Commit(1, 50, 90, 71)], trigger(_0=80, _1=50), since=0, now=1000, every=EVERY) is None
    found = due([*COMMITS, Commit(1, 50, 190, 120)], trigger(_0=80, _1=50), since=0, now=1000, every=EVERY)
    assert found is not None
    assert found.interactions == 120


def test_age_asks_for_some_new_ones() -> None:
    last = trigger(1000, _0=80, _1=50)
    later = 1000 + 60_000
    assert due(COMMITS, last, since=0, now=later, every=EVERY) is None
    few = [*COMMITS, Commit(0, 80, 99, 10)]
    assert due(few, last, since=0, now=later - 1, every=EVERY) is None
    found = due(few, last, since=0, now=later, every=EVERY)
    assert found is not None
    assert (found.reason, found.interactions) == (TriggerReason.AGE, 10)


@given(st.lists(st.integers(0, 300), max_size=12))
def test_no_interaction_counts_for_two_triggers(sizes: list[int]) -> None:
    last, commits, at, counted = None, [], 0, 0
    for size in sizes:
        commits.append(Commit(0, at, at + size + 1, size))
        at += size + 1
        found = due(commits, last, since=0, now=1000, every=EVERY)
        if found is not None:
            counted += found.interactions
            last = found
    left = due(commits, last, since=0, now=10**9, every=Every(10**9, 1.0, 0))
    assert left is not None
    assert counted + left.interactions == sum(sizes)


def test_compaction_counts_nothing_twice_and_forgets_nothing(tmp_path: Path) -> None:
    """Killed at any of its steps, so that merged ranges stand beside what they were made of; before, between, after."""
    number, sizes = 1, set()
    while True:
        path = tmp_path / str(number)
        fill(path, ranges=6)
        commits = NewCommits(path)
        positions = {"0": 15}
        assert new_interactions(commits.read(), positions, commits.rows_from) == 15
        step, _ = killed_at(number)
        try:
            Compactor(path, Compaction(fan_in=4, full=1_000, grace_s=0.0), step).run()
            finished = True
        except Killed:
            finished = False
        for watch in (commits, NewCommits(path)):
            sizes.add(len(watch.read()))
            assert new_interactions(watch.read(), positions, watch.rows_from) == 15, number
            assert new_interactions(watch.read(), {}, watch.rows_from) == 30, number
        offline.write_range(path, rows(30, 37), 0, 30, 37)
        assert new_interactions(commits.read(), positions, commits.rows_from) == 22
        if finished:
            break
        number += 1
    assert sizes == {3, 4, 5, 6, 7}, "markers that are gone are forgotten"


def test_the_topic_is_the_memory(site: IngestSite, tmp_path: Path) -> None:
    topic, config = site.settings.topics.training_triggers.name, site.settings.kafka_config()
    assert last_trigger(topic, config) is None
    watch = TriggerWatch(topic, config, tmp_path, EVERY, since=0)
    assert watch.look(0) is None
    (tmp_path / "commits").mkdir()
    offline.write_range(tmp_path, offline.SCHEMA.empty_table(), 0, 0, 10)
    assert watch.look(0) is None
    commit = tmp_path / "commits" / "0-10-200.json"
    commit.write_bytes(encode(Commit(0, 10, 200, 150)))
    found = watch.look(5)
    assert found is not None
    site.publish(topic, [(b"x", encode(trigger(3, _0=0))), (b"t", encode(found))])
    assert last_trigger(topic, config) == found
    assert watch.look(6) is None, "the watch has read what was sent, by whomever"
    assert TriggerWatch(topic, config, tmp_path, EVERY, since=0).look(6) is None


def test_a_missing_broker_is_an_error_of_kafka() -> None:
    from confluent_kafka import KafkaException

    with pytest.raises(KafkaException):
        last_trigger("t", {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, timeout=0.2)
