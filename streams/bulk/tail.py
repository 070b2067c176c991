"""What a topic held unread when its number of partitions changed: part of the base under the stream that follows.

Customers' events are on the partition of their key, and that changes with the number of partitions. Until its
producers learn of the change, a customer's events go to its old partition, then to the new one, and offsets of two
partitions can't be compared. So what was not read by then is not read as a stream: it is added to the base, by
event ids alone, whichever of the two partitions it is on.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import Message

from feature_repo.shop import Shop
from streams import offline
from streams.bulk.backfill import Stores, ends
from streams.contracts.codec import Limits
from streams.contracts.compacted import CompactedTable
from streams.contracts.operations import DeadLetter, Erasure
from streams.dead_letters import DeadLetters, letter
from streams.erasure.erasures import Ledger
from streams.erasure.topics import LedgerFeed, cause_of
from streams.ingest.batch import Records, Rejection, decode, decode_erasures
from streams.ingest.offline_writer import accepted_table
from streams.ranges import read_range


@dataclass
class Tail:
    """What was found, as the worker would have had it: valid events, letters for the others, and erasures."""

    tables: list[pa.Table] = field(default_factory=lambda: [offline.SCHEMA.empty_table()])
    letters: list[DeadLetter] = field(default_factory=list)
    erasures: list[Erasure] = field(default_factory=list)

    @property
    def table(self) -> pa.Table:
        """The valid events, some of them perhaps more than once."""
        return pa.concat_tables(self.tables)


def take_unread(stores: Stores, shop: Shop, counts: Sequence[int], ledger: Ledger) -> tuple[pa.Table, dict[int, int]]:
    """Return the events that no store has yet, and up to where; send letters for the others, enter erasures.

    Parameters
    ----------
    counts: numbers of partitions by which producers may have chosen one.
    """
    low, high = ends(stores)
    there = offline.positions(stores.offline)
    bounds = {partition: (max(low[partition], there.get(partition, 0)), end) for partition, end in high.items()}
    topics, limits = stores.topics, Limits(currency_exponent=shop.currency_exponent)
    tail = read_tail(stores.kafka, topics.interactions.name, bounds, counts, limits, ledger)
    letters = DeadLetters(stores.sender, topics.dead_letters.name)
    for each in tail.letters:
        letters.send(each)
    with closing(CompactedTable(topics.erasures.name, stores.kafka)) as table:
        feed = LedgerFeed(table, stores.sender, topics.erasures.name, stores.offline)
        for partition in bounds:
            feed.write([each for each in tail.erasures if each.partition == partition])
    stores.sender.flush(120.0)
    return tail.table, high


def read_tail(
    config: Mapping[str, Any],
    topic: str,
    bounds: Mapping[int, tuple[int, int]],
    counts: Sequence[int],
    limits: Limits,
    ledger: Ledger,
) -> Tail:
    """Read the offsets `[start, stop)` of each partition; see `take_unread`."""
    found = Tail()
    for partition, (start, stop) in bounds.items():
        for messages in read_range(config, topic, partition, start, stop):
            for part in _records(partition, messages).parts():
                if part.erasures:
                    _take_erasures(found, topic, part, counts, ledger)
                else:
                    _take_events(found, topic, part, counts, limits)
    return found


def _records(partition: int, messages: Sequence[Message]) -> Records:
    offsets = [message.offset() or 0 for message in messages]
    values = [message.value() for message in messages]
    empty = [(at, cause_of(messages[at].headers())) for at, value in enumerate(values) if not value]
    return Records(
        partition, offsets[0], offsets[-1] + 1,
        values, [message.key() for message in messages], offsets, [message.timestamp()[1] for message in messages],
        {offsets[at]: cause for at, cause in empty if cause is not None},
    )  # fmt: skip


def _take_events(found: Tail, topic: str, records: Records, counts: Sequence[int], limits: Limits) -> None:
    taken: set[int] = set()
    rejected: list[list[Rejection]] = []
    for count in counts:
        batch = decode(records, count, limits)
        new = [at for at, offset in enumerate(batch.events.offset.tolist()) if offset not in taken]
        taken.update(batch.events.offset.tolist())
        found.tables.append(
            accepted_table(records.partition, batch.interactions, batch.events, np.array(new, np.int64))
        )
        rejected.append(batch.rejected)
    found.letters += _letters(topic, records, rejected)


def _take_erasures(found: Tail, topic: str, records: Records, counts: Sequence[int], ledger: Ledger) -> None:
    rejected: list[list[Rejection]] = []
    for count in counts:
        erasures = decode_erasures(records, count, ledger)
        found.erasures += erasures.entries
        ledger.add(erasures.entries)
        rejected.append(erasures.rejected)
    found.letters += _letters(topic, records, rejected)


def _letters(topic: str, records: Records, rejected: Sequence[Sequence[Rejection]]) -> Iterator[DeadLetter]:
    """Yield letters for what was rejected whatever the number of partitions."""
    every = set.intersection(*({each.at for each in some} for some in rejected))
    for each in rejected[-1]:
        if each.at in every:
            yield letter(
                topic, records.partition, records.offsets[each.at], records.arrivals[each.at],
                records.keys[each.at], records.values[each.at], each.why,
            )  # fmt: skip
