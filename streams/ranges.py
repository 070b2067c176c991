"""Reading an offset range of one partition, in no group's name."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

AT_ONCE = 5_000
"""Records handed out at a time."""

STALL_S = 30.0
"""Seconds without any record after which Kafka is taken to have stalled."""

_PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)


def consumer_config(config: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Return the configuration of a consumer that reads where it is told to.

    Parameters
    ----------
    group: librdkafka wants one; never committed to.
    """
    return {
        **config,
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
    }


def read_range(
    config: Mapping[str, Any], topic: str, partition: int, start: int, stop: int, at_once: int = AT_ONCE
) -> Iterator[list[Message]]:
    """Yield what there is of the offsets `[start, stop)`: retention and compaction may have removed some.

    Raises
    ------
    TimeoutError: nothing came for half a minute.
    KafkaException: the broker can't be reached.
    """
    consumer = Consumer(consumer_config(config, f"ranges-of-{topic}"))
    try:
        consumer.assign([TopicPartition(topic, partition, start)])
        last, done = time.monotonic(), start >= stop
        while not done:
            # `consume` alone would wait for as many as are asked for, or out its time, with the end long in hand.
            first = consumer.poll(0.5)
            messages = [] if first is None else [first, *consumer.consume(at_once - 1, 0)]
            done = any(_ends(message, stop) for message in messages)
            found = [message for message in messages if message.error() is None and (message.offset() or 0) < stop]
            if found:
                yield found
            if messages:
                last = time.monotonic()
            elif time.monotonic() - last > STALL_S:
                raise TimeoutError(f"partition {partition} of {topic!r}: nothing for {STALL_S:.0f} s")
    finally:
        consumer.close()


def _ends(message: Message, stop: int) -> bool:
    error = message.error()
    if error is None:
        return (message.offset() or 0) >= stop - 1
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    if not error.retriable() and error.code() not in _PASSING:
        raise KafkaException(error)
    return False
