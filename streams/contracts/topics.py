"""Every topic: name, partitions, configuration, what its records are. Nothing else knows topic names."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from streams.contracts.events import Customer, Interaction, Item
from streams.contracts.operations import (
    ApiKey,
    BundleAnnouncement,
    DeadLetter,
    Erasure,
    ItemNeighbours,
    TrainingTrigger,
)
from streams.contracts.requests import RecommendationRequest, Reply, ServedRecord

PARTITIONER = "murmur2_random"
"""Producers must set this (`partitioner` in librdkafka) to agree with Java's and Faust's clients."""

MAX_RECORD_BYTES = 1_048_576
"""Largest record that the broker takes on a topic, by Kafka's default."""

MAX_DEAD_LETTER_BYTES = 2 * MAX_RECORD_BYTES
"""A dead letter holds the original record as base64; also its producer's `message.max.bytes`."""

_DAY_MS = 86_400_000
_BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}
ERASURE_HEADER = "headwater-erasure"
"""On an empty record of `interactions`: its customer is to be erased here, in the order of the stream.

Its value names the tombstone that asked for it, see `Erasure.cause`.
"""

SEGMENT_MS = _DAY_MS // 4
"""A segment is closed after so long: nothing is compacted or retired while its segment is being written."""

COMPACTION_LAG_MS = _DAY_MS
"""What was replaced or deleted under its key is compacted away at most so long after its segment could be closed."""

_COMPACT = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.2",
    "max.compaction.lag.ms": str(COMPACTION_LAG_MS),
    "segment.ms": str(SEGMENT_MS),
    "delete.retention.ms": str(_DAY_MS),
}
_COMPACT_FOR_THE_SHOP = {**_COMPACT, "delete.retention.ms": str(7 * _DAY_MS)}
"""A tombstone waits for streams that are down for days; it holds an id only."""

CHANGELOG_LAG_MS = _DAY_MS // 24
"""What a changelog's newer record replaces stays for so long after it, so that a rebuild can leave the newest out."""

_CHANGELOG = {**_COMPACT, "min.compaction.lag.ms": str(CHANGELOG_LAG_MS)}


def _kept(days: int) -> dict[str, str]:
    return {"retention.ms": str(days * _DAY_MS), "segment.ms": str(SEGMENT_MS)}


def _kept_unless_deleted(days: int) -> dict[str, str]:
    """Records leave with age, and before that by a tombstone for their key."""
    return {**_COMPACT, **_kept(days), "cleanup.policy": "compact,delete"}


@dataclass(frozen=True)
class Topic:
    """One topic as it must exist.

    Attributes
    ----------
    name: with the prefix.
    config: Kafka topic configuration, values as strings.
    key: what the record's key is; "" for none.
    message: struct of the value, None for binary values.
    summary: one sentence for the AsyncAPI document.
    published_by: "shop" or "headwater".
    """

    name: str
    partitions: int
    config: Mapping[str, str] = field(hash=False)
    key: str
    message: type | None
    summary: str
    published_by: str


def _topic(  # one row of the table below
    name: str, partitions: int, config: dict[str, str], key: str, message: type | None, by: str, summary: str
) -> Topic:
    return Topic(name, partitions, MappingProxyType(config), key, message, summary, by)


@dataclass(frozen=True)
class Topics:
    """All topics. `Topics.named(prefix).interactions.name` is a topic's full name."""

    interactions: Topic
    customers: Topic
    items: Topic
    recommendation_requests: Topic
    recommendations: Topic
    served: Topic
    features_customers: Topic
    features_seen_ids: Topic
    features_items: Topic
    features_positions: Topic
    training_triggers: Topic
    models: Topic
    dead_letters: Topic
    erasures: Topic
    api_keys: Topic
    item_embeddings: Topic
    item_neighbours: Topic

    @classmethod
    def named(cls, prefix: str = "") -> "Topics":
        """Topics whose names start with `prefix` (HEADWATER_TOPIC_PREFIX): systems can share a cluster."""
        return cls(
            interactions=_topic(
                f"{prefix}interactions", 4, {**_BROKER_TIME, **_kept(30)}, "customer_id", Interaction,
                "shop", "What customers did: views, purchases, returns, ratings, …",
            ),
            customers=_topic(
                f"{prefix}customers", 4, dict(_COMPACT_FOR_THE_SHOP), "customer_id", Customer,
                "shop", "Customers as the shop knows them; an empty value deletes.",
            ),
            items=_topic(
                f"{prefix}items", 2, dict(_COMPACT_FOR_THE_SHOP), "item_id", Item,
                "shop", "The catalogue; an empty value deletes.",
            ),
            recommendation_requests=_topic(
                f"{prefix}recommendation-requests", 4, {**_BROKER_TIME, **_kept(1)}, "customer_id",
                RecommendationRequest, "shop", "Questions: what should this customer see?",
            ),
            recommendations=_topic(
                f"{prefix}recommendations", 4, _kept(1), "customer_id", Reply,
                "headwater", "Answers to requests that name no reply topic of their own.",
            ),
            served=_topic(
                f"{prefix}served", 4, _kept_unless_deleted(30), "recommendation_id", ServedRecord,
                "headwater",
                "Every answer as it was given, with the features it was scored on; on the partition of its customer.",
            ),
            features_customers=_topic(
                f"{prefix}features-customers", 4, dict(_CHANGELOG), "customer_id", None,
                "headwater", "Changelog of customers' state (MessagePack).",
            ),
            features_seen_ids=_topic(
                f"{prefix}features-seen-ids", 4, dict(_CHANGELOG), "customer_id", None,
                "headwater", "Changelog of the ids by which customers' older events are known again (MessagePack).",
            ),
            features_items=_topic(
                f"{prefix}features-items", 4, dict(_CHANGELOG), "source:item_id", None,
                "headwater", "Changelog of items' state, an absolute part for each source (binary).",
            ),
            features_positions=_topic(
                f"{prefix}features-positions", 1, dict(_COMPACT), "source", None,
                "headwater", "How far the changelogs are: an offset for each source (JSON).",
            ),
            training_triggers=_topic(
                f"{prefix}training-triggers", 1, _kept(30), "trigger_id", TrainingTrigger,
                "headwater", "Requests to train, by number of new interactions, by age or by hand.",
            ),
            models=_topic(
                f"{prefix}models", 1, dict(_COMPACT), "default", BundleAnnouncement,
                "headwater", "The bundle that should be live.",
            ),
            dead_letters=_topic(
                f"{prefix}dead-letters", 1,
                {**_kept_unless_deleted(30), "max.message.bytes": str(MAX_DEAD_LETTER_BYTES)},
                "topic-partition-offset", DeadLetter, "headwater", "Records that could not be used, with the reason.",
            ),
            erasures=_topic(
                f"{prefix}erasures", 1, dict(_COMPACT), "customer:partition:offset", Erasure,
                "headwater", "Customers that were erased, by a hash of their id: what comes late of them is left out.",
            ),
            api_keys=_topic(
                f"{prefix}api-keys", 1, dict(_COMPACT), "key_id, or key_id:revoked", ApiKey,
                "headwater", "Who may call the gateway: keys by digests of their secrets, and revocations for good.",
            ),
            item_embeddings=_topic(
                f"{prefix}item-embeddings", 2, dict(_COMPACT), "item_id", None,
                "headwater", "What items' texts say, as vectors (MessagePack).",
            ),
            item_neighbours=_topic(
                f"{prefix}item-neighbours", 2, dict(_COMPACT), "item_id", ItemNeighbours,
                "headwater", "What is bought with an item, and what instead of it, counted from baskets.",
            ),
        )  # fmt: skip

    def all(self) -> tuple[Topic, ...]:
        """Every topic, in the order above."""
        return tuple(getattr(self, each.name) for each in fields(self))
