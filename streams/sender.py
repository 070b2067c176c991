"""Sending records so that none is lost silently."""

from typing import Any

from confluent_kafka import KafkaException, Producer


class Sender:
    """A producer whose failed deliveries come up at the next `flush`. For one thread.

    Parameters
    ----------
    producer: from `Settings.producer_config()`.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._failed: list[str] = []

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: list[tuple[str, str | bytes | None]] | None = None,
        partition: int | None = None,
    ) -> None:
        """Queue a record, on the partition of its key unless one is given; waits while the queue is full."""
        while True:
            try:
                if partition is not None:
                    self._producer.produce(topic, value, key, partition, on_delivery=self._delivered)
                elif headers:
                    self._producer.produce(topic, value, key, on_delivery=self._delivered, headers=headers)
                else:
                    self._producer.produce(topic, value, key, on_delivery=self._delivered)
                return
            except BufferError:
                self._producer.poll(0.05)

    def flush(self, timeout: float = 30.0) -> None:
        """Wait until everything queued is in Kafka.

        Raises
        ------
        KafkaException: something could not be delivered; it may be sent again.
        """
        left = self._producer.flush(timeout)
        failed, self._failed = self._failed, []
        if left or failed:
            raise KafkaException(
                f"{left} records were not delivered within {timeout:.0f} s, {len(failed)} failed: {failed[:3]}"
            )

    def close(self) -> None:
        """Leave the broker, once what is queued has been sent or has timed out."""
        self._producer.close()

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failed.append(f"{message.topic()}: {error}")
