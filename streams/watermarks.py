"""Where a partition begins and ends, also just after its topic was made."""

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
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


def _is_settling(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in _SETTLING
