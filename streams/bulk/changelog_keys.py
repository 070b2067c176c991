"""What keys the changelogs have, so that those that mean nothing any more can be removed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.contracts.compacted import CompactedTable
from streams.contracts.topics import Topics
from streams.ingest.feature_positions import read_markers


@dataclass(frozen=True)
class ChangelogKeys:
    """Keys whose last record is no tombstone.

    Attributes
    ----------
    customers: ids.
    parts: `<source>:<item>`.
    partitions: of interactions, that are said to be anywhere.
    """

    customers: set[str]
    parts: set[bytes]
    partitions: set[int]


def read_keys(topics: Topics, config: Mapping[str, Any]) -> ChangelogKeys:
    """Read the changelogs for their keys."""
    return ChangelogKeys(
        {
            key.decode()
            for topic in (topics.features_customers, topics.features_seen_ids)
            for key in _keys(topic.name, config)
        },
        _keys(topics.features_items.name, config),
        set(read_markers(topics, config).partitions),
    )


def _keys(topic: str, config: Mapping[str, Any]) -> set[bytes]:
    found: set[bytes] = set()
    with CompactedTable(topic, config) as table:
        for record in table.load():
            if record.value is None:
                found.discard(record.key)
            else:
                found.add(record.key)
    return found
