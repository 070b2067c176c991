"""Which topic the stores were filled from: a topic of the same name need not be the same.

Kafka gives every topic an id. It is kept, with the number of partitions, in Redis and in the offline store; offsets
mean something in this very topic only.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from feature_repo.redis_commands import Client, send

TOPIC_KEY = b"hw:topic"
"""A `TopicIdentity` as JSON."""

_FILE = "topic.json"
_FRESH_S = 2.0


class TopicIdentity(msgspec.Struct, frozen=True):
    """A topic.

    Attributes
    ----------
    id: Kafka's.
    partitions: how many it has; customers move when the number changes.
    epoch: how many topics there were before it whose events are in the base.
    since: when the epoch began, milliseconds since the epoch of Unix.
    """

    id: str
    partitions: int
    epoch: int = 0
    since: int = 0

    def same_topic(self, other: "TopicIdentity") -> bool:
        """Whether offsets of one are offsets of the other."""
        return (self.id, self.partitions) == (other.id, other.partitions)

    def repartitioned(self, now: "TopicIdentity") -> bool:
        """Whether the other is the same topic with another number of partitions."""
        return self.id == now.id and self.partitions != now.partitions

    def __str__(self) -> str:
        return f"id {self.id} with {self.partitions} partitions"


def look_up(config: Mapping[str, Any], topic: str, timeout: float = 10.0) -> TopicIdentity:
    """Ask Kafka.

    Raises
    ------
    KafkaException: the broker can't be reached, or there is no such topic.
    """
    admin = AdminClient(dict(config))
    answer = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout)
    found = answer[topic].result()
    return TopicIdentity(str(found.topic_id), len(found.partitions))


class Lookup:
    """Asks Kafka, but not for each of the partitions that are taken up together."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        self._ask: Callable[[], TopicIdentity] = lambda: look_up(config, topic)
        self._found: TopicIdentity | None = None
        self._at = 0.0

    def __call__(self) -> TopicIdentity:
        """Return what Kafka said not long ago.

        Raises
        ------
        KafkaException: as `look_up`.
        """
        if self._found is None or time.monotonic() - self._at > _FRESH_S:
            self._found = None
            self._found = self._ask()
            self._at = time.monotonic()
        return self._found


def in_redis(client: Client) -> TopicIdentity | None:
    """Return the topic that the online store was filled from, None if nothing is known."""
    found = send(client, [(b"GET", TOPIC_KEY)])[0]
    return None if found is None else msgspec.json.decode(found, type=TopicIdentity)


def note_in_redis(client: Client, identity: TopicIdentity) -> None:
    """Say which topic the online store is filled from."""
    send(client, [(b"SET", TOPIC_KEY, msgspec.json.encode(identity))])


def note(client: Client, path: Path, identity: TopicIdentity) -> None:
    """Say which topic both stores are filled from; what is known of its epoch stays."""
    for known in (in_offline_store(path), in_redis(client)):
        if known is not None and known.same_topic(identity):
            identity = known
            break
    else:
        identity = TopicIdentity(
            identity.id, identity.partitions, identity.epoch, identity.since or time.time_ns() // 1_000_000
        )
    note_in_redis(client, identity)
    note_in_offline_store(path, identity)


def in_offline_store(path: Path) -> TopicIdentity | None:
    """Return the topic that the offline store was filled from, None if nothing is known."""
    try:
        return msgspec.json.decode((path / _FILE).read_bytes(), type=TopicIdentity)
    except FileNotFoundError:
        return None


def note_in_offline_store(path: Path, identity: TopicIdentity) -> None:
    """Say which topic the offline store is filled from."""
    path.mkdir(parents=True, exist_ok=True)
    draft = path / f".{_FILE}.{os.getpid()}.draft"
    draft.write_bytes(msgspec.json.encode(identity))
    draft.replace(path / _FILE)
