"""When to train: by the number of new interactions since the last trigger, and by age.

What counts is what is in the offline store, because that is what the trainer reads. The memory is the last message
of the topic `training-triggers` itself, so any process can take over.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from streams import offline
from streams.contracts.codec import decode
from streams.contracts.operations import TrainingTrigger, TriggerReason
from streams.offline import Commit
from streams.topic_identity import in_offline_store
from streams.watermarks import watermarks


class Every(msgspec.Struct, frozen=True):
    """How often to train.

    Attributes
    ----------
    interactions: after so many new ones.
    seconds: after so long, if there are at least `least` new ones.
    """

    interactions: int
    seconds: float
    least: int = 1


RowsFrom = Callable[[Commit, int], int]
"""Tells how many accepted interactions a range has from an offset on."""


def new_interactions(commits: Iterable[Commit], positions: Mapping[str, int], rows_from: RowsFrom) -> int:
    """Return the number of accepted interactions of the stream beyond positions (partition -> next offset).

    Parameters
    ----------
    rows_from: asked where a position, or the end of another range, lies within a range: compaction has merged both
        sides, or two workers wrote it.
    """
    total = 0
    for commit, first in offline.distinct(each for each in commits if each.partition != offline.BACKFILL):
        first = max(first, positions.get(str(commit.partition), 0))
        if first <= commit.start:
            total += commit.rows
        elif first < commit.stop:
            total += rows_from(commit, first)
    return total


def due(
    commits: Iterable[Commit],
    last: TrainingTrigger | None,
    since: int,
    now: int,
    every: Every,
    rows_from: RowsFrom,
) -> TrainingTrigger | None:
    """Return the trigger that is due, None if it is too early.

    Parameters
    ----------
    commits: of the offline store.
    last: the last trigger sent, by whomever.
    since: without a last trigger, age counts from here; milliseconds since the epoch.
    now: milliseconds since the epoch.
    rows_from: see `new_interactions`.
    """
    found = list(commits)
    fresh = new_interactions(found, last.positions if last else {}, rows_from)
    age_s = (now - (last.created_at if last else since)) / 1000
    if fresh >= every.interactions:
        reason = TriggerReason.COUNT
    elif fresh >= every.least and age_s >= every.seconds:
        reason = TriggerReason.AGE
    else:
        return None
    positions: dict[str, int] = {}
    for commit in found:
        if commit.partition != offline.BACKFILL:
            name = str(commit.partition)
            positions[name] = max(positions.get(name, 0), commit.stop)
    return TrainingTrigger(
        trigger_id=uuid.uuid4().hex, reason=reason, created_at=now, interactions=fresh, positions=positions
    )


def last_trigger(topic: str, config: Mapping[str, Any], timeout: float = 10.0) -> TrainingTrigger | None:
    """Read the last message of the topic (one partition), None if there is none.

    Raises
    ------
    KafkaException: the broker can't be reached.
    """
    consumer = Consumer({**config, "group.id": f"last-of-{topic}", "enable.auto.commit": False})
    try:
        low, high = watermarks(consumer, topic, 0, timeout)
        if high <= low:
            return None
        consumer.assign([TopicPartition(topic, 0, high - 1)])
        message = consumer.poll(timeout)
        if message is None or message.error() is not None:
            raise TimeoutError(f"{topic}: the record at offset {high - 1} did not come within {timeout:.0f} s")
        return decode(message.value(), TrainingTrigger)
    finally:
        consumer.close()


class NewCommits:
    """The offline store's markers, each file read once for as long as it is there.

    Parameters
    ----------
    path: of the offline store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Commit] = {}
        self._counted: dict[tuple[str, int], int] = {}

    def read(self) -> list[Commit]:
        """Return all markers there are now."""
        while True:
            names = offline.markers(self._path)
            try:
                self._known = {name: self._read(name) for name in names}
            except FileNotFoundError:  # merged into another just now
                continue
            return list(self._known.values())

    def rows_from(self, commit: Commit, first: int) -> int:
        """Return how many rows a range has from an offset on; looks into its files, once.

        Raises
        ------
        OSError: they are gone, because the range was rewritten; what `read` returns next is of now.
        """
        try:
            return self._counted[commit.name, first]
        except KeyError:
            pass
        try:
            count = offline.rows_from(self._path, commit, first)
        except FileNotFoundError:
            self._known = {}
            raise
        self._counted = {key: rows for key, rows in self._counted.items() if key[0] in self._named()}
        self._counted[commit.name, first] = count
        return count

    def _named(self) -> set[str]:
        return {each.name for each in self._known.values()}

    def _read(self, name: str) -> Commit:
        known = self._known.get(name)
        return offline.read_marker(self._path / "commits" / name) if known is None else known


class TriggerWatch:
    """Looks from time to time whether training is due; asks Kafka for the last trigger only when it may be.

    Parameters
    ----------
    topic: of training triggers, which has one partition.
    config: librdkafka's connection settings.
    path: of the offline store.
    since: see `due`.
    """

    def __init__(self, topic: str, config: Mapping[str, Any], path: Path, every: Every, since: int) -> None:
        self._topic = topic
        self._config = config
        self._path = path
        self._commits = NewCommits(path)
        self._every = every
        self._since = since
        self._last: TrainingTrigger | None = None

    def look(self, now: int) -> TrainingTrigger | None:
        """Return the trigger that is due at `now` (milliseconds since the epoch), None if it is too early.

        Raises
        ------
        KafkaException, TimeoutError: the broker can't be reached.
        """
        commits = self._commits.read()
        if due(commits, self._of_this_epoch(), self._since, now, self._every, self._commits.rows_from) is None:
            return None
        self._last = last_trigger(self._topic, self._config)
        return due(commits, self._of_this_epoch(), self._since, now, self._every, self._commits.rows_from)

    def _of_this_epoch(self) -> TrainingTrigger | None:
        """Return the last trigger, without positions that are of a topic that has been made anew since."""
        topic, last = in_offline_store(self._path), self._last
        if topic is None or last is None or not topic.epoch or last.created_at >= topic.since:
            return last
        return msgspec.structs.replace(last, positions={})
