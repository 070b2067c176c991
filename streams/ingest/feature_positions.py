"""The topic `features-positions`: how far the changelogs are, by source.

A record of a partition of `interactions` says: everything that its events before ``position`` made of customers and
items is in the changelogs by now. It is sent only after that has been delivered, so whoever reads it first and the
changelogs afterwards finds it there. The record of the source `backfill` is the backfill's own.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from streams.contracts.compacted import CompactedTable
from streams.contracts.topics import Topics
from streams.ingest.changelog import Marked
from streams.ingest.item_writer import BACKFILL
from streams.ingest.start import Backfilled


class Markers(msgspec.Struct, frozen=True):
    """What the topic says.

    Attributes
    ----------
    partitions: of interactions -> how far the changelogs are.
    """

    partitions: dict[int, Marked]
    backfilled: Backfilled | None


def read_markers(topics: Topics, config: Mapping[str, Any]) -> Markers:
    """Read the topic.

    Raises
    ------
    LookupError: it doesn't exist.
    """
    partitions: dict[int, Marked] = {}
    backfilled: Backfilled | None = None
    with CompactedTable(topics.features_positions.name, config) as table:
        for record in table.load():
            source = record.key.decode()
            if source == BACKFILL:
                backfilled = msgspec.json.decode(record.value, type=Backfilled) if record.value else None
            elif record.value:
                partitions[int(source)] = msgspec.json.decode(record.value, type=Marked)
            else:
                partitions.pop(int(source), None)
    return Markers(partitions, backfilled)
