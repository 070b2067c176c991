"""A compacted topic read as a table: everything up to now, then what comes after. Needs confluent-kafka."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.watermarks import ends, watermarks


class Record(NamedTuple):
    """One record; `value` is None for a tombstone, `timestamp` is Kafka's, in milliseconds (-1: none)."""

    key: bytes
    value: bytes | None
    partition: int
    offset: int
    timestamp: int


class CompactedTable:
    """All partitions of a compacted topic, read from the beginning by one reader without a consumer group.

    First drain `load()`, which ends once the end offsets seen at the start are reached; then call `poll()`
    for ever. Records of a partition come in order and a key may come more than once: its last value counts.
    Not safe for use from two threads.

    Parameters
    ----------
    topic: must exist.
    config: librdkafka's connection settings, as `Settings.kafka_config()` returns them.
    timeout: seconds for questions to the broker, and for a pause without any record during `load()`.

    Raises
    ------
    LookupError: the topic doesn't exist.
    KafkaException: the broker can't be reached.
    """

    def __init__(self, topic: str, config: Mapping[str, Any], timeout: float = 30.0) -> None:
        self.topic = topic
        self._config = config
        self._timeout = timeout
        self._consumer = Consumer(
            {
                **config,
                "group.id": f"table-of-{topic}",  # never committed to; librdkafka wants one
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "allow.auto.create.topics": False,
            }
        )
        self._partitions: list[int] = []
        self._reached: dict[int, int] = {}
        try:
            self._behind = self._assign()
        except BaseException:
            self._consumer.close()
            raise

    def _assign(self) -> dict[int, int]:
        """Take all partitions from the beginning; return partition -> last offset that `load` must reach."""
        found = self._consumer.list_topics(self.topic, timeout=self._timeout).topics[self.topic]
        if found.error is not None:
            if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise LookupError(
                    f"topic {self.topic!r} doesn't exist; create it with: python -m streams.create_topics"
                )
            raise KafkaException(found.error)
        behind = {}
        self._partitions = list(found.partitions)
        for partition in found.partitions:
            low, high = watermarks(self._consumer, self.topic, partition, self._timeout)
            if high > low:
                behind[partition] = high - 1
        self._consumer.assign([TopicPartition(self.topic, p, OFFSET_BEGINNING) for p in found.partitions])
        return behind

    @property
    def caught_up(self) -> bool:
        """Whether everything that was there at the start has been handed out."""
        return not self._behind

    def load(self) -> Iterator[Record]:
        """Yield what was there at the start (and perhaps a little of what came since).

        Raises
        ------
        TimeoutError: nothing came for `timeout` seconds; names the partitions still behind.
        """
        last = time.monotonic()
        while self._behind:
            records = self.poll(1.0)
            if records:
                last = time.monotonic()
                yield from records
            elif self._behind and time.monotonic() - last > self._timeout:
                raise TimeoutError(
                    f"{self.topic}: nothing for {self._timeout:.0f} s; offsets still to reach: {self._behind}"
                )

    def catch_up(self) -> Iterator[Record]:
        """Yield all that has come up to now, however much it is (and perhaps a little of what comes meanwhile).

        Raises
        ------
        TimeoutError: as `load`.
        """
        for partition, high in ends(self._config, self.topic, self._partitions, self._timeout).items():
            if high > self._reached.get(partition, 0):
                self._behind[partition] = high - 1
        yield from self.load()

    def poll(self, timeout: float) -> list[Record]:
        """Wait up to `timeout` seconds for a record and return it with what else has come; maybe nothing."""
        first = self._consumer.poll(timeout)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(10_000, 0)]
        return [record for message in messages if (record := self._record(message)) is not None]

    def _record(self, message: Message) -> Record | None:
        error = message.error()
        partition, offset = message.partition() or 0, message.offset() or 0
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                # Compaction may have removed the last records, so the end counts, not a record's offset. The end of a
                # while ago, told only now, does not.
                if offset > self._behind.get(partition, offset):
                    del self._behind[partition]
                self._reached[partition] = offset
                return None
            if error.retriable() or error.code() in _PASSING:
                return None
            raise KafkaException(error)
        self._reached[partition] = offset + 1
        if offset >= self._behind.get(partition, offset + 1):
            del self._behind[partition]
        return Record(message.key() or b"", message.value(), partition, offset, message.timestamp()[1])

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def __enter__(self) -> "CompactedTable":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# librdkafka reports these and goes on by itself.
_PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)
