"""Where a partition begins and ends, also just after its topic was made."""

from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

_SETTLING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
)
"""What brokers and clients say while a new topic's leaders are being made known."""


def watermarks(consumer: Consumer, topic: str, partition: int, timeout: float = 30.0) -> tuple[int, int]:
    """Return a partition's oldest offset and the one after its newest.

    Raises
    ------
    KafkaException: the broker can't be reached, or has no such partition after `timeout` seconds.
    """
    for attempt in Retrying(
        retry=retry_if_exception(_is_settling),
        wait=wait_exponential(0.05, max=1.0),
        stop=stop_after_delay(timeout),
        reraise=True,
    ):
        with attempt:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout)
    return low, high


def ends(config: Mapping[str, Any], topic: str, partitions: Collection[int], timeout: float = 30.0) -> dict[int, int]:
    """Return for each partition the offset after its newest record, asked for on a connection of its own.

    On a consumer's the answer would wait behind its fetch, which a broker with no news holds back for half a second.

    Raises
    ------
    KafkaException, TimeoutError: the broker can't be reached.
    """
    wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in partitions}  # type: ignore[no-untyped-call]
    admin = AdminClient(dict(config))  # it has to live until all answers are in
    found = admin.list_offsets(wanted, request_timeout=timeout)
    return {each.partition: answer.result(timeout + 1).offset for each, answer in found.items()}


def _is_settling(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in _SETTLING
