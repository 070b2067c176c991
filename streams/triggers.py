"""When to train: by the number of new interactions since the last trigger, and by age.

What counts is what is in the offline store, because that is what the trainer reads. The memory is the last message
of the topic `training-triggers` itself, so any process can take over.
"""

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from streams import offline
from streams.contracts.codec import decode
from streams.contracts.operations import TrainingTrigger, TriggerReason
from streams.offline import Commit
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


def new_interactions(commits: Iterable[Commit], positions: Mapping[str, int]) -> int:
    """Return the number of accepted interactions of the stream beyond positions (partition -> next offset)."""
    return sum(
        commit.rows
        for commit in commits
        if commit.partition != offline.BACKFILL and commit.start >= positions.get(str(commit.partition), 0)
    )


def due(
    commits: Iterable[Commit], last: TrainingTrigger | None, since: int, now: int, every: Every
) -> TrainingTrigger | None:
    """Return the trigger that is due, None if it is too early.

    Parameters
    ----------
    commits: of the offline store.
    last: the last trigger sent, by whomever.
    since: without a last trigger, age counts from here; milliseconds since the epoch.
    now: milliseconds since the epoch.
    """
    found = list(commits)
    fresh = new_interactions(found, last.positions if last else {})
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
    """The offline store's markers, each file read once.

    Parameters
    ----------
    path: of the offline store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Commit] = {}

    def read(self) -> list[Commit]:
        """Return all markers there are now."""
        for marker in (self._path / "commits").glob("*.json"):
            if marker.name not in self._known and not marker.name.startswith("."):
                self._known[marker.name] = msgspec.json.decode(marker.read_bytes(), type=Commit)
        return list(self._known.values())


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
        if due(commits, self._last, self._since, now, self._every) is None:
            return None
        self._last = last_trigger(self._topic, self._config)
        return due(commits, self._last, self._since, now, self._every)
