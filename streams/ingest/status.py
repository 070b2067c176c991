"""How far interactions are: what Kafka, Redis and the offline store say, put beside each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import redis
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from feature_repo.redis_commands import Client, connect
from streams import offline, topic_identity
from streams.contracts.operations import TrainingTrigger
from streams.ingest.partition_log import applied_position
from streams.ingest.refusals import Refusal, refused
from streams.lease import under_way
from streams.settings import Settings
from streams.topic_identity import TopicIdentity
from streams.triggers import last_trigger
from streams.watermarks import watermarks

TIMEOUT_S = 3.0


@dataclass
class PartitionStatus:
    """One partition of interactions.

    Attributes
    ----------
    low, end: oldest and next offset of the topic; None if Kafka can't be reached.
    applied: offset before which all is in the online store; None if Redis knows nothing, or can't be reached.
    stored: the same of the offline store.
    owner: host of the worker that has it.
    refusal: why no worker takes it up.
    """

    low: int | None = None
    end: int | None = None
    applied: int | None = None
    stored: int | None = None
    owner: str | None = None
    refusal: Refusal | None = None

    @property
    def lag(self) -> int | None:
        """Offsets that are not applied yet."""
        if self.end is None:
            return None
        return self.end - (self.applied if self.applied is not None else self.low or 0)


@dataclass
class IngestStatus:
    """Everything.

    Attributes
    ----------
    kafka, redis: why it can't be reached; None if it can.
    topic: of interactions, as Redis knows it.
    filling: who is filling the stores, or did not end.
    trigger: the last training trigger.
    """

    kafka: str | None = None
    redis: str | None = None
    topic: TopicIdentity | None = None
    filling: str | None = None
    trigger: TrainingTrigger | None = None
    partitions: dict[int, PartitionStatus] = field(default_factory=dict)


def ingest_status(settings: Settings) -> IngestStatus:
    """Ask everybody; what does not answer within a few seconds is told as such."""
    found = IngestStatus()
    try:
        _ask_kafka(found, settings)
    except (KafkaException, TimeoutError, LookupError) as error:
        found.kafka = str(error)
    try:
        _ask_redis(found, connect(settings.redis_url, timeout_s=TIMEOUT_S, retries=0))
    except redis.RedisError as error:
        found.redis = str(error)
    for partition, at in offline.positions(settings.offline).items():
        if partition in found.partitions:
            found.partitions[partition].stored = at
    return found


def _ask_kafka(found: IngestStatus, settings: Settings) -> None:
    # What goes wrong is told below, not by the client on its own.
    config, topic = {**settings.kafka_config(), "log_level": 0}, settings.topics.interactions.name
    consumer = Consumer({**config, "group.id": "headwater-metadata"})
    try:
        partitions = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
        if not partitions:
            raise LookupError(f"there is no topic {topic!r}")
        for partition in sorted(partitions):
            low, end = watermarks(consumer, topic, partition, TIMEOUT_S)
            found.partitions[partition] = PartitionStatus(low, end)
    finally:
        consumer.close()
    for partition, host in _owners(config, f"{settings.topic_prefix}headwater-ingest", topic).items():
        if partition in found.partitions:
            found.partitions[partition].owner = host
    found.trigger = last_trigger(settings.topics.training_triggers.name, config, TIMEOUT_S)


def _owners(config: Mapping[str, Any], group: str, topic: str) -> dict[int, str]:
    admin = AdminClient(dict(config))
    description = admin.describe_consumer_groups([group], request_timeout=TIMEOUT_S)[group].result()
    return {
        each.partition: member.host.lstrip("/")
        for member in description.members
        for each in (member.assignment.topic_partitions if member.assignment else ())
        if each.topic == topic
    }


def _ask_redis(found: IngestStatus, client: Client) -> None:
    found.topic = topic_identity.in_redis(client)
    found.filling = under_way(client)
    reasons = refused(client)
    for partition in reasons:
        found.partitions.setdefault(partition, PartitionStatus())
    for partition, status in found.partitions.items():
        status.applied = applied_position(client, partition)
        status.refusal = reasons.get(partition)
