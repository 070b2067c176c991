"""What should be stored, from what was published alone: no code of the streams decides anything here."""

from collections import Counter
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from streams import offline
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.events import Interaction
from streams.contracts.operations import Reason
from streams.settings import Settings
from tests.chaos.traffic import Sent, Traffic

Place = tuple[int, int]
"""Partition and offset."""


@dataclass(frozen=True)
class Truth:
    """What the producer knows it sent, at the places where Kafka put it.

    Attributes
    ----------
    topic: the records of `interactions` as they lie there, without those of customers who were erased.
    ends: partition -> the offset after its last record.
    accepted: each distinct valid event once, where it came first, in the columns of the offline store.
    letters: where a malformed record lies -> its reason and its bytes.
    duplicates, malformed: how many there are.
    lost, strange: records that were sent and are not on the topic as often, and the other way round.
    """

    topic: list[Record]
    ends: dict[int, int]
    accepted: pa.Table
    letters: dict[Place, tuple[Reason, bytes, bytes]]
    duplicates: int
    malformed: int
    lost: int
    strange: int

    @classmethod
    def of(cls, settings: Settings, traffic: Traffic) -> "Truth":
        """Read the topic and find every record among those sent."""
        with CompactedTable(settings.topics.interactions.name, settings.kafka_config()) as table:
            topic = sorted(table.load(), key=lambda record: (record.partition, record.offset))
        gone = {name.encode() for name in traffic.gone}
        sent = Counter((record.key, record.value) for record in traffic.records)
        # Erasures are announced among the interactions, and what happened long ago is erased wherever it stands.
        there = Counter((each.key, each.value or b"") for each in topic if each.value or each.key not in gone)
        by_bytes = {(record.key, record.value): record for record in traffic.records}
        seen: set[tuple[str, str]] = set()
        first: list[tuple[Interaction, Record]] = []
        letters: dict[Place, tuple[Reason, bytes, bytes]] = {}
        duplicates = 0
        for record in topic:
            known: Sent | None = by_bytes.get((record.key, record.value or b""))
            if known is None or record.key in gone:
                continue
            if known.reason is not None:
                letters[record.partition, record.offset] = (known.reason, record.key, record.value or b"")
            elif known.event is not None:
                identity = (known.event.customer_id, known.event.event_id)
                duplicates += identity in seen
                if identity not in seen:
                    seen.add(identity)
                    first.append((known.event, record))
        ends = dict.fromkeys(range(settings.topics.interactions.partitions), 0)
        ends.update({record.partition: record.offset + 1 for record in topic})
        topic = [record for record in topic if record.key not in gone]
        return cls(
            topic, ends, _table(first), letters, duplicates, len(letters),
            lost=(sent - there).total(), strange=(there - sent).total(),
        )  # fmt: skip


def _table(events: list[tuple[Interaction, Record]]) -> pa.Table:
    rows = [
        {
            "event_id": event.event_id,
            "customer_id": event.customer_id,
            "item_id": event.item_id,
            "type": event.type.value,
            "time": event.time,
            "quantity": event.quantity,
            "amount": -1 if event.price is None else round(event.price * event.quantity * 100.0),
            "rating": event.rating,
            "session_id": event.session_id,
            "context": msgspec.json.encode(event.context, order="sorted").decode(),
            "recommendation_id": event.recommendation_id,
            "arrival": record.timestamp * 1000,
            "partition": record.partition,
            "offset": record.offset,
        }
        for event, record in events
    ]
    return pa.Table.from_pylist(rows, schema=offline.SCHEMA)
