"""The trainer as a process: waits for triggers, trains, publishes, announces. `python -m trainer.service`.

TensorFlow and Merlin take 20 s to import and a graph 10 s to trace, so the process lives long and keeps its last
model. A trigger's offset is committed after its bundle is announced: a crash before that trains again, and leaves no
half bundle behind.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from feature_repo.shop import load_shop
from serving.bundle import Bundle
from streams import offline
from streams.contracts.codec import decode, encode
from streams.contracts.observability import (
    MODEL_TRAINED,
    MODEL_VERSION,
    READY,
    TRAINING_RUNS,
    configure_logging,
    logger,
    serve_metrics,
)
from streams.contracts.operations import TrainingMode, TrainingTrigger
from streams.contracts.rejection import Rejected
from trainer.accelerators import accelerators
from trainer.inputs import NothingToLearnError
from trainer.job import Trainer, announcement
from trainer.progress import Report
from trainer.publish import RejectedError
from trainer.settings import TrainerSettings
from trainer.shop_feed import ShopFeed

log = logger(__name__)

GROUP = "headwater-trainer"
ATTEMPTS = 2
LONGEST_TRAINING_MS = 6 * 3_600_000
STORE_WAIT_S = 30.0


class Service:
    """Answers triggers, one training at a time; triggers that wait together are answered by one training."""

    def __init__(self, settings: TrainerSettings, trainer: Trainer) -> None:
        self._settings, self._trainer = settings, trainer
        self._producer = Producer(settings.producer_config())
        self._consumer = Consumer(
            {
                **settings.kafka_config(),
                "group.id": GROUP,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "max.poll.interval.ms": LONGEST_TRAINING_MS,
                "allow.auto.create.topics": False,
            }
        )
        self._consumer.subscribe([settings.topics.training_triggers.name])

    def run(self, stopping: Callable[[], bool]) -> None:
        """Serve until told to stop."""
        while not stopping():
            messages = self._wait()
            if messages:
                self._answer(messages)
                self._consumer.commit(message=messages[-1], asynchronous=False)

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
        self._producer.flush(10)

    def _wait(self) -> list[Message]:
        first = self._consumer.poll(1.0)
        if first is None:
            return []
        found = [first, *self._consumer.consume(1000, 0.2)]
        return [message for message in found if _usable(message)]

    def _answer(self, messages: Sequence[Message]) -> None:
        triggers = [trigger for message in messages if (trigger := _trigger(message)) is not None]
        if not triggers:
            return
        newest = triggers[-1]
        report = Report(self._settings.state, tuple(trigger.trigger_id for trigger in triggers))
        modes = {trigger.mode for trigger in triggers}
        mode = TrainingMode.FULL if TrainingMode.FULL in modes else TrainingMode.INCREMENTAL
        outcome, message, bundle = self._outcome(mode, newest, report)
        TRAINING_RUNS.labels(outcome).inc()
        report.finish(outcome, None if bundle is None else bundle.version, message)
        if bundle is None:
            log.warning("no new model", outcome=outcome, reason=message, trigger=newest.trigger_id)

    def _outcome(self, mode: TrainingMode, trigger: TrainingTrigger, report: Report) -> tuple[str, str, Bundle | None]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return "ok", "", self._train(mode, trigger, report)
            except NothingToLearnError as error:
                return "skipped", str(error), None
            except RejectedError as error:
                return "rejected", str(error), None
            except Exception as error:
                log.exception("training failed", trigger=trigger.trigger_id, attempt=attempt)
                if attempt == ATTEMPTS and isinstance(error, KafkaException):
                    raise  # the bundle waits to be announced: leave the trigger uncommitted
                failure = f"{type(error).__name__}: {error}"
        return "failed", failure, None

    def _train(self, mode: TrainingMode, trigger: TrainingTrigger, report: Report) -> Bundle:
        bundle, newest_arrival = self._trainer.published_for(trigger.trigger_id), None
        if bundle is None:
            self._wait_for_store(trigger)
            bundle, inputs = self._trainer.run(mode, report, trigger.trigger_id, arrived_until=time.time_ns() // 1000)
            newest_arrival = int(inputs.log.events.arrival.max())
        self._announce(bundle, newest_arrival)
        return bundle

    def _announce(self, bundle: Bundle, newest_arrival: int | None) -> None:
        announce(self._producer, self._settings.topics.models.name, bundle, newest_arrival)
        MODEL_VERSION.set(bundle.version)
        MODEL_TRAINED.set(bundle.manifest.created_at / 1e6)

    def _wait_for_store(self, trigger: TrainingTrigger) -> None:
        """Give the offline store a moment to hold what the trigger speaks of."""
        deadline = time.monotonic() + STORE_WAIT_S
        while time.monotonic() < deadline:
            there = offline.positions(self._settings.store)
            if all(there.get(int(p), 0) >= offset for p, offset in trigger.positions.items()):
                return
            time.sleep(0.5)
        log.warning("the offline store lags behind the trigger", trigger=trigger.trigger_id)


def announce(producer: Producer, topic: str, bundle: Bundle, newest_arrival: int | None = None) -> None:
    """Tell the serving processes about a bundle; returns once Kafka has it. Raises KafkaException if it has not."""
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    value = encode(announcement(bundle, newest_arrival))
    producer.produce(topic, key=b"default", value=value, on_delivery=delivered)
    if producer.flush(30) or failures:
        raise KafkaException(failures[0] if failures else KafkaError(KafkaError._MSG_TIMED_OUT))


def _usable(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.code() == KafkaError._PARTITION_EOF or error.retriable():
        return False
    raise KafkaException(error)


def _trigger(message: Message) -> TrainingTrigger | None:
    try:
        return decode(message.value(), TrainingTrigger)
    except Rejected as error:
        log.warning("trigger left out", offset=message.offset(), error=str(error))
        return None


def main() -> None:
    """Run until SIGTERM or SIGINT; a second signal ends a training at once."""
    configure_logging("trainer")
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    settings = TrainerSettings.of()
    stop_metrics = serve_metrics(settings.metrics_port)
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            raise KeyboardInterrupt
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    feed = ShopFeed(settings, load_shop(settings.shop))
    with Trainer(settings, feed) as trainer:
        log.info("model loaded", version=trainer.warm_up())
        service = Service(settings, trainer)
        READY.set(1)
        log.info("waiting for triggers", topic=settings.topics.training_triggers.name, devices=accelerators())
        try:
            service.run(lambda: stopping)
        finally:
            READY.set(0)
            service.close()
            feed.close()
            stop_metrics()


if __name__ == "__main__":
    main()
