"""Records that could not be used go to the dead letters, whole and with the reason."""

import time

from streams.contracts.codec import encode
from streams.contracts.observability import DEAD_LETTERS
from streams.contracts.operations import DeadLetter
from streams.contracts.rejection import Rejected
from streams.sender import Sender


def letter(
    topic: str, partition: int, offset: int, arrived_at: int, key: bytes | None, value: bytes | None, why: Rejected
) -> DeadLetter:
    """Return the letter for a record; `arrived_at` is its Kafka timestamp in milliseconds."""
    return DeadLetter(
        reason=why.reason,
        detail=why.detail,
        topic=topic,
        partition=partition,
        offset=offset,
        arrived_at=arrived_at,
        rejected_at=time.time_ns() // 1_000_000,
        key=key,
        value=value,
    )


def key_of(rejected: DeadLetter) -> bytes:
    """Return the key of a letter: sent again after a crash, it is the same record to compaction."""
    return f"{rejected.topic}-{rejected.partition}-{rejected.offset}".encode()


class DeadLetters:
    """Sends letters and counts them by reason.

    Parameters
    ----------
    sender: its producer's `message.max.bytes` must be `MAX_DEAD_LETTER_BYTES`.
    topic: name of the dead letters' topic.
    """

    def __init__(self, sender: Sender, topic: str) -> None:
        self._sender = sender
        self._topic = topic

    def send(self, rejected: DeadLetter) -> None:
        """Queue a letter."""
        self._sender.send(self._topic, encode(rejected), key_of(rejected))
        DEAD_LETTERS.labels(rejected.reason.value).inc()
