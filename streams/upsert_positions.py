"""How far the topics `items` and `customers` are in Redis, kept in Redis beside the rows.

Kafka's committed offsets say what was handed over, not what a Redis still has that came back older than it was, or
empty. One hash a topic, ``hw:upserts:<topic>``, holds each partition's next offset. It grows only from an offset
that it has reached, after the rows before it; so what Redis lacks is always the gap from there to what this process
has applied, or the group has committed, and that gap is read again from the topic. Offsets are the rows' versions:
what is there already stays as it is.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import redis
from confluent_kafka import Consumer, Message, TopicPartition

from feature_repo.redis_commands import Client, Connections, Script, call, send
from streams.contracts.observability import REREAD, logger
from streams.contracts.operations import DeadLetter
from streams.ranges import STALL_S, consumer_config, read_range
from streams.upserts import Raw
from streams.watermarks import watermarks

log = logger(__name__)

STALLED_S = 10.0
"""Seconds without a record after which is asked whether there are any that did not come."""

AT_ONCE = 2_000
"""Records read again at a time."""

_ADVANCE = Script("""
local stored = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if stored < tonumber(ARGV[2]) then return stored end
if stored < tonumber(ARGV[3]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return -1
""")


class UpsertPositions:
    """The hash of one topic.

    Parameters
    ----------
    client: must not repeat a command by itself when a connection breaks.
    """

    def __init__(self, client: Client, topic: str) -> None:
        self._client = client
        self._key = f"hw:upserts:{topic}".encode()

    def read(self) -> dict[int, int]:
        """Return partition -> offset before which everything is in Redis; nothing for what it never heard of."""
        found = send(self._client, [(b"HGETALL", self._key)])[0]
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return {int(partition): int(offset) for partition, offset in pairs}

    def advance(self, partition: int, start: int, stop: int) -> int | None:
        """Say that `[start, stop)` is in Redis; where Redis ends before `start` return where, and change nothing."""
        answer = int(send(self._client, [call(_ADVANCE, self._key, partition, start, stop)], script=_ADVANCE)[0])
        return None if answer < 0 else answer

    def forget(self) -> None:
        """Say that nothing is in Redis."""
        send(self._client, [(b"DEL", self._key)])


class Reader:
    """Reads offset ranges of a topic, in no group's name.

    Parameters
    ----------
    group: whose committed offsets `committed` tells.
    config: librdkafka's connection settings.
    """

    def __init__(self, topic: str, group: str, config: Mapping[str, Any]) -> None:
        self.topic = topic
        self._plain = config
        self._config = consumer_config(config, group)

    def committed(self, partitions: Sequence[int]) -> dict[int, int]:
        """Return the offsets that the group has committed, of those partitions that have one."""
        consumer = Consumer(self._config)
        try:
            found = consumer.committed([TopicPartition(self.topic, each) for each in partitions], timeout=STALL_S)
        finally:
            consumer.close()
        return {each.partition: each.offset for each in found if each.offset > 0}

    def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        """Return the partitions' ends."""
        consumer = Consumer(self._config)
        try:
            return {each: watermarks(consumer, self.topic, each, STALL_S)[1] for each in partitions}
        finally:
            consumer.close()

    def records(self, partition: int, start: int, stop: int) -> Iterator[list[Raw]]:
        """Yield what is left of the offsets `[start, stop)`; compaction may have removed some.

        Raises
        ------
        TimeoutError: nothing came for half a minute.
        KafkaException: the broker can't be reached.
        """
        for messages in read_range(self._plain, self.topic, partition, start, stop, AT_ONCE):
            yield [_raw(message) for message in messages]


def _raw(message: Message) -> Raw:
    return Raw(
        message.topic() or "", message.partition() or 0, message.offset() or 0, message.timestamp()[1],
        message.key(), message.value(),
    )  # fmt: skip


class Upserter:
    """Applies a topic's records and keeps Redis from lacking any of them; used by two threads.

    Parameters
    ----------
    apply: writes records' rows and returns letters for those that can't be used.
    reject: sends letters.
    connections: of the client behind `apply` and `positions`, which must be one and the same.
    """

    def __init__(
        self,
        reader: Reader,
        positions: UpsertPositions,
        connections: Connections,
        apply: Callable[[Sequence[Raw]], list[DeadLetter]],
        reject: Callable[[list[DeadLetter]], None],
    ) -> None:
        self._reader = reader
        self._positions = positions
        self._connections = connections
        self._apply = apply
        self._reject = reject
        self._lock = threading.Lock()
        self._applied: dict[int, int] = {}
        self._new: set[int] = set()
        self._assigned: set[int] = set()
        self._before: dict[int, int] = {}
        self._asked_at = time.monotonic()

    def assigned(self, partitions: Sequence[int]) -> None:
        """Take note of the partitions that this process has from now on."""
        with self._lock:
            self._applied = {each: at for each, at in self._applied.items() if each in partitions}
            self._new = set(partitions) - set(self._applied)
            self._assigned = set(partitions)

    def take(self, records: Sequence[Raw]) -> None:
        """Apply records as they were polled, after what Redis lacks before them.

        Raises
        ------
        redis.RedisError, KafkaException, TimeoutError: call it again with the same records.
        """
        with self._lock:
            spans = self._spans(records)
            there = self._positions.read()
            for partition, (start, _) in spans.items():
                self._fill(partition, there.get(partition, 0), start)
            self._write(records)
            for partition, (start, stop) in spans.items():
                self._advance(partition, start, stop)
                self._applied[partition] = max(stop, self._applied.get(partition, 0))

    def look(self) -> None:
        """Read again what Redis has lost since it was applied, and what is on the topic and does not come.

        Raises
        ------
        redis.RedisError, KafkaException, TimeoutError: call it again later.
        """
        with self._lock:
            if self._new:
                for partition, at in self._reader.committed(sorted(self._new)).items():
                    self._applied[partition] = max(at, self._applied.get(partition, 0))
                self._new = set()
            there = self._positions.read() if self._assigned or self._applied else {}
            for partition, at in self._applied.items():
                self._fill(partition, there.get(partition, 0), at)
            if time.monotonic() - self._asked_at > STALLED_S:
                self._catch_up(there)
                self._asked_at = time.monotonic()

    def _catch_up(self, there: Mapping[int, int]) -> None:
        """Read what no poll has brought for a while: after a rebalance Faust may leave a partition without a fetch."""
        now = {each: max(self._applied.get(each, 0), there.get(each, 0)) for each in self._assigned}
        still = sorted(each for each, at in now.items() if self._before.get(each) == at)
        self._before = now
        for partition, end in self._reader.ends(still).items() if still else ():
            if end > now[partition]:
                log.warning(
                    "read what did not come", topic=self._reader.topic, partition=partition, start=now[partition],
                    stop=end,
                )  # fmt: skip
                self._fill(partition, now[partition], end)
                self._applied[partition] = max(end, self._applied.get(partition, 0))

    def _spans(self, records: Sequence[Raw]) -> dict[int, tuple[int, int]]:
        """Partition -> the offsets `[start, stop)` that Redis will have after the records, had it all before them."""
        spans: dict[int, tuple[int, int]] = {}
        for record in records:
            known = self._applied.get(record.partition, record.offset)
            start, stop = spans.get(record.partition, (min(known, record.offset), 0))
            spans[record.partition] = start, max(stop, record.offset + 1)
        return spans

    def _fill(self, partition: int, start: int, stop: int) -> None:
        if start >= stop:
            return
        found = 0
        for records in self._reader.records(partition, start, stop):
            self._write(records)
            found += len(records)
        self._advance(partition, start, stop)
        REREAD.labels(self._reader.topic).inc(found)
        if found:
            log.warning(
                "read again what Redis lacked",
                topic=self._reader.topic, partition=partition, start=start, stop=stop, records=found,
            )  # fmt: skip

    def _write(self, records: Sequence[Raw]) -> None:
        """Write rows; say nothing of a Redis that may have been set back since."""
        made = self._connections.made
        if letters := self._apply(records):
            self._reject(letters)
        self._positions.read()  # so that a connection that broke after the last row is noticed
        self._unbroken(made)

    def _unbroken(self, made: int) -> None:
        if self._connections.made != made:
            raise redis.ConnectionError(f"the connection broke while {self._reader.topic!r} was written")

    def _advance(self, partition: int, start: int, stop: int) -> None:
        made = self._connections.made
        at = self._positions.advance(partition, start, stop)
        self._unbroken(made)
        if at is not None:
            raise redis.ConnectionError(
                f"Redis has partition {partition} of {self._reader.topic!r} up to offset {at}, and had it up to {start}"
            )
