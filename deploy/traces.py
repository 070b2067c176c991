"""What there still is of a customer, place by place, and when it will be gone: for `headwater forget --verify`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq
from confluent_kafka import Message
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports without __all__
    AdminClient,
    ConfigResource,
    ResourceType,
)

from feature_repo.encoder import EncoderSpec
from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import Command, connect, send
from feature_repo.views import CUSTOMER
from serving.bundle import ENCODER, directory_name, versions
from serving.settings import ServingSettings
from streams import offline
from streams.contracts.partitioner import partition_of
from streams.contracts.topics import Topic
from streams.erasure.erasures import customer_hash
from streams.erasure.scrub import Mentions, records
from streams.erasure.topics import read_ledger

FENCES = {b"hw:position", b"hw:profile", b"version"}
"""Fields that are numbers only: they keep late writers from bringing a customer back."""


@dataclass(frozen=True)
class Trace:
    """What one place holds.

    Attributes
    ----------
    found: how many records, rows, files or fields.
    what: of which kind.
    until: Unix time by which they are gone by themselves; None if they are not.
    how: what removes them.
    """

    place: str
    found: int
    what: str = ""
    until: float | None = None
    how: str = ""

    @property
    def done(self) -> bool:
        """Nothing is left, or what is left has an end."""
        return self.found == 0 or self.until is not None

    def when(self) -> str:
        """The end as people read it."""
        if self.found == 0:
            return ""
        if self.until is None:
            return "stays"
        return f"{datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%M} UTC"


class Search:
    """Looks for customers in every place of an installation."""

    def __init__(self, settings: ServingSettings) -> None:
        self._settings = settings
        self._config = settings.kafka_config()
        self._admin = AdminClient(dict(self._config))
        self._client = connect(settings.redis_url)
        self._store = settings.offline

    def traces(self, customer_id: str) -> Iterator[Trace]:
        """Yield what each place holds of a customer, as soon as it has been searched.

        Raises
        ------
        redis.RedisError, KafkaException, TimeoutError, OSError: a place can't be searched.
        """
        topics = self._settings.topics
        yield from self._redis(customer_id)
        yield self._ledger(customer_id)
        yield from self._offline(customer_id)
        for topic in (topics.customers, topics.features_customers, topics.features_seen_ids):
            yield from self._compacted(topic, customer_id)
        yield from self.written(customer_id)
        for topic in (topics.interactions, topics.recommendation_requests, topics.recommendations):
            yield self._retained(topic, customer_id)
        yield from models(self._settings, customer_id)

    def written(self, customer_id: str) -> Iterator[Trace]:
        """Yield what `served` and `dead-letters` hold."""
        for topic in (self._settings.topics.served, self._settings.topics.dead_letters):
            yield from self._compacted(topic, customer_id)

    def _redis(self, customer_id: str) -> Iterator[Trace]:
        keys = [*OnlineStore(self._client).keys(CUSTOMER, [customer_id]), f"hw:customer:{customer_id}".encode()]
        data, ends = 0, []
        for key in keys:
            commands: list[Command] = [(b"HKEYS", key), (b"TTL", key)]
            fields, seconds = send(self._client, commands)
            data += len(set(fields) - FENCES)
            if fields and not set(fields) - FENCES:
                ends.append(time.time() + seconds if seconds >= 0 else None)
        yield Trace("Redis: features, profile, record", data, "fields")
        until = None if None in ends else max((end for end in ends if end is not None), default=None)
        yield Trace("Redis: fences", len(ends), "numbers under the id", until, "expiry")

    def _ledger(self, customer_id: str) -> Trace:
        found = read_ledger(self._settings.topics, self._config).of(customer_id)
        missing = 0 if found else 1
        what = "" if found else f"no entry for {customer_hash(customer_id)[:8]}…: late events would come in"
        return Trace("ledger of erasures", missing, what)

    def _offline(self, customer_id: str) -> Iterator[Trace]:
        table = offline.interactions(self._store, columns=["customer_id"])
        rows = pc.sum(pc.equal(table["customer_id"], customer_id)).as_py() or 0
        yield Trace("offline store, next training set", rows, "rows")
        listed = {file for commit in offline.commits(self._store) for file in commit.files}
        retired = {file for commit in offline.retired(self._store) for file in commit.files} - listed
        holding = [
            str(file.relative_to(self._store))
            for file in self._store.glob("interactions/*/*.parquet")
            if _holds(file, customer_id)
        ]
        every, grace = self._settings.compact_every_seconds, self._settings.compact_grace_seconds
        live = [file for file in holding if file not in retired]
        yield Trace("offline store: files", len(live), "files", time.time() + 2 * every + grace, "compaction")
        gone = [file for file in holding if file in retired]
        yield Trace("offline store: replaced files", len(gone), "files", time.time() + every + grace, "compaction")

    def _compacted(self, topic: Topic, customer_id: str) -> Iterator[Trace]:
        """Records that count, and those that are deleted but still on Kafka's disks."""
        is_about = self._about(topic, customer_id)
        held: dict[tuple[int, bytes], int] = {}
        last: dict[tuple[int, bytes], tuple[bool, int]] = {}
        for message in self._messages(topic, customer_id):
            at = message.partition() or 0, message.key() or b""
            if message.value() and is_about(message):
                held[at] = held.get(at, 0) + 1
            if at in held:
                last[at] = bool(message.value()), message.timestamp()[1]
        counting = sum(live for live, _ in last.values())
        yield Trace(f"topic {topic.name}", counting, "records", None, "a tombstone of the streams process")
        deleted = [(held[at], when) for at, (live, when) in last.items() if not live]
        yield Trace(
            f"topic {topic.name}: deleted, on disk",
            sum(count for count, _ in deleted),
            "records",
            max((when for _, when in deleted), default=0) / 1000 + _compaction(self._configuration(topic)),
            "Kafka's compaction",
        )

    def _retained(self, topic: Topic, customer_id: str) -> Trace:
        is_about = self._about(topic, customer_id)
        found = [message.timestamp()[1] for message in self._messages(topic, customer_id) if is_about(message)]
        until = max(found, default=0) / 1000 + (_retention(self._configuration(topic)) or float("inf"))
        return Trace(
            f"topic {topic.name}", len(found), "records", None if until == float("inf") else until, "retention"
        )

    def _about(self, topic: Topic, customer_id: str) -> Callable[[Message], bool]:
        mentions, topics = Mentions([customer_id]), self._settings.topics
        if topic is topics.dead_letters:
            return lambda message: mentions.in_letter(message.value())
        if topic in (topics.features_customers, topics.features_seen_ids):  # binary: only the key says whose it is
            return lambda message: message.key() == customer_id.encode()
        return lambda message: mentions.in_record(message.key(), message.value())

    def _messages(self, topic: Topic, customer_id: str) -> Iterable[Message]:
        topics = self._settings.topics
        anywhere = topic in (topics.dead_letters, topics.recommendations)
        partitions = None if anywhere else [partition_of(customer_id.encode(), topic.partitions)]
        return (message for some in records(self._config, topic.name, partitions) for message in some)

    def _configuration(self, topic: Topic) -> dict[str, Any]:
        resource = ConfigResource(ResourceType.TOPIC, topic.name)
        return {
            name: entry.value for name, entry in self._admin.describe_configs([resource])[resource].result().items()
        }


def models(settings: ServingSettings, customer_id: str) -> Iterator[Trace]:
    """Yield the bundles and checkpoints that have a customer's id in a vocabulary."""
    for version in reversed(versions(settings.bundles)):
        spec = EncoderSpec.from_json((settings.bundles / directory_name(version) / ENCODER).read_bytes())
        if customer_id in spec.vocabularies.get("customer_id", ()):
            yield Trace(f"model {version}: vocabulary", 1, "id", None, "the next training, then removing this bundle")
    for state in sorted((settings.state / "checkpoints").glob("v*/state.json")):
        values, _ = msgspec.json.decode(state.read_bytes())["vocabularies"]
        if customer_id in values.get("customer_id", ()):
            yield Trace(f"checkpoint {state.parent.name}: vocabulary", 1, "id", None, "the trainings after next")


def _holds(file: Path, customer_id: str) -> bool:
    return bool(pc.any(pc.equal(pq.read_table(file, columns=["customer_id"])["customer_id"], customer_id)).as_py())


def _retention(config: dict[str, Any]) -> float | None:
    """Seconds after which a record of a topic is gone: a segment goes when its newest record has the age."""
    if "delete" not in config["cleanup.policy"] or int(config["retention.ms"]) < 0:
        return None
    return (int(config["retention.ms"]) + int(config["segment.ms"])) / 1000


def _compaction(config: dict[str, Any]) -> float:
    """Seconds after which what was deleted is gone: its segment is closed, then compacted at the latest."""
    return (int(config["segment.ms"]) + int(config["max.compaction.lag.ms"])) / 1000
