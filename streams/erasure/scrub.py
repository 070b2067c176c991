"""What Headwater itself has written about erased customers leaves `served` and `dead-letters` by tombstones.

The tombstones of `customers` are read a second time, by a group of their own whose offsets are committed when the
work is done: killed in between, it is done again. Whoever erases does not wait for it.
"""

import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from mode import Service

from streams.contracts.observability import SCRUBBED, logger
from streams.contracts.operations import DeadLetter
from streams.contracts.partitioner import partition_of
from streams.contracts.topics import Topics
from streams.sender import Sender
from streams.watermarks import watermarks

log = logger(__name__)

SETTLE_S = 15.0
"""Seconds after a tombstone for answers and refusals that were on their way to arrive."""

_AT_ONCE = 5_000


class _Named(msgspec.Struct):
    customer_id: str


_NAMED = msgspec.json.Decoder(_Named)
_LETTER = msgspec.json.Decoder(DeadLetter)


class Mentions:
    """Tells whether records are about some customers.

    Parameters
    ----------
    customer_ids: at least one.
    """

    def __init__(self, customer_ids: Collection[str]) -> None:
        self.customer_ids = frozenset(customer_ids)
        self._keys = frozenset(name.encode() for name in self.customer_ids)
        # An id within a longer word is somebody else's.
        names = b"|".join(re.escape(key) for key in sorted(self._keys, key=len, reverse=True))
        self._anywhere = re.compile(rb"(?<![\w-])(?:" + names + rb")(?![\w-])")

    def in_record(self, key: bytes | None, value: bytes | None) -> bool:
        """Tell it by the key or the field `customer_id`; of what can't be decoded, by the id as a word."""
        if key in self._keys:
            return True
        if not value:
            return False
        try:
            return _NAMED.decode(value).customer_id in self.customer_ids
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._anywhere.search(value) is not None

    def in_letter(self, value: bytes | None) -> bool:
        """Tell whether the record within a dead letter is about them."""
        if not value:
            return False
        try:
            letter = _LETTER.decode(value)
        except msgspec.MsgspecError:
            return self._anywhere.search(value) is not None
        return self.in_record(letter.key, letter.value)


def records(
    config: Mapping[str, Any], topic: str, partitions: Collection[int] | None = None, timeout: float = 30.0
) -> Iterator[list[Message]]:
    """Yield what partitions (default: all) hold now, some records at a time, in no group's name.

    Raises
    ------
    KafkaException, TimeoutError: the broker can't be reached, or stalls.
    """
    consumer = Consumer(
        {
            **config,
            "group.id": f"records-of-{topic}",  # never committed to
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
        }
    )
    try:
        known = consumer.list_topics(topic, timeout=timeout).topics[topic].partitions
        behind: dict[int, int] = {}
        starts = []
        for partition in known if partitions is None else partitions:
            low, high = watermarks(consumer, topic, partition, timeout)
            if high > low:
                behind[partition] = high
                starts.append(TopicPartition(topic, partition, low))
        consumer.assign(starts)
        last = time.monotonic()
        while behind:
            first = consumer.poll(0.5)
            messages = [] if first is None else [first, *consumer.consume(_AT_ONCE - 1, 0)]
            if some := [
                m for m in messages if m.error() is None and (m.offset() or 0) < behind.get(m.partition() or 0, 0)
            ]:
                yield some
            for message in messages:
                _note(message, behind)
            last = time.monotonic() if messages else last
            if time.monotonic() - last > timeout:
                raise TimeoutError(f"{topic}: nothing for {timeout:.0f} s; offsets still to reach: {behind}")
    finally:
        consumer.close()


def _note(message: Message, behind: dict[int, int]) -> None:
    """Take a partition off the list once its end of a while ago is reached; its last records may be compacted away."""
    error, partition = message.error(), message.partition() or 0
    if error is None:
        ended = (message.offset() or 0) >= behind.get(partition, 0) - 1
    elif error.code() == KafkaError._PARTITION_EOF:
        ended = True
    elif error.retriable() or error.code() in _PASSING:
        return
    else:
        raise KafkaException(error)
    if ended:
        behind.pop(partition, None)


_PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)
"""librdkafka reports these and goes on by itself."""


def scrub(
    topics: Topics,
    config: Mapping[str, Any],
    sender: Sender,
    customer_ids: Collection[str],
    rest: Callable[[float], object] = lambda seconds: None,
) -> dict[str, int]:
    """Delete what `served` and `dead-letters` hold of customers; return how many records of each topic.

    Parameters
    ----------
    rest: called between reads with the seconds that the last one took, to leave the machine to others.

    Raises
    ------
    KafkaException, TimeoutError: do it again.
    """
    mentions = Mentions(customer_ids)
    homes = {partition_of(name.encode(), topics.served.partitions) for name in customer_ids}
    found = {}
    for topic, partitions, is_about in (
        (topics.served, homes, lambda message: mentions.in_record(None, message.value())),
        (topics.dead_letters, None, lambda message: mentions.in_letter(message.value())),
    ):
        count, began = 0, time.monotonic()
        for messages in records(config, topic.name, partitions):
            for message in filter(is_about, messages):
                if message.key() is None:
                    log.warning("a record without a key stays", topic=topic.name, offset=message.offset())
                    continue
                sender.send(topic.name, None, message.key(), partition=message.partition())
                count += 1
            rest(time.monotonic() - began)
            began = time.monotonic()
        sender.flush(60.0)
        SCRUBBED.labels(topic.name).inc(count)
        found[topic.name] = count
    return found


class Scrubber:
    """Follows the tombstones of `customers`; belongs to one thread.

    Parameters
    ----------
    group: whose offsets tell what is done.
    settle_s: see `SETTLE_S`.
    """

    def __init__(
        self, topics: Topics, config: Mapping[str, Any], group: str, sender: Sender, settle_s: float = SETTLE_S
    ) -> None:
        self._topics = topics
        self._config = config
        self._sender = sender
        self._settle_s = settle_s
        self._consumer = Consumer(
            {
                **config,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "max.poll.interval.ms": 86_400_000,  # reading all answers of a month takes its time
                "allow.auto.create.topics": False,
            }
        )
        self._waiting: set[str] = set()
        self._positions: dict[int, int] = {}
        self._heard_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        self._consumer.subscribe([self._topics.customers.name])
        try:
            while not stop.is_set():
                self._hear(self._consumer.consume(_AT_ONCE, 1.0))
                try:
                    self._look(stop)
                except (KafkaException, TimeoutError) as error:
                    log.warning("records of erased customers are deleted later", why=str(error))
                    stop.wait(5.0)
        finally:
            self._consumer.close()

    def _hear(self, messages: Collection[Message]) -> None:
        for message in messages:
            if message.error() is not None:
                continue
            self._positions[message.partition() or 0] = (message.offset() or 0) + 1
            key = message.key()
            if not message.value() and key:
                self._waiting.add(key.decode(errors="replace"))
                self._heard_at = time.monotonic()

    def _look(self, stop: threading.Event) -> None:
        if self._waiting:
            if time.monotonic() - self._heard_at < self._settle_s:
                return
            found = scrub(self._topics, self._config, self._sender, self._waiting, stop.wait)
            log.info("records of erased customers deleted", customers=len(self._waiting), **_identifiers(found))
            self._waiting.clear()
        if self._positions:
            name = self._topics.customers.name
            offsets = [TopicPartition(name, partition, at) for partition, at in self._positions.items()]
            self._consumer.commit(offsets=offsets, asynchronous=False)
            self._positions.clear()


def _identifiers(found: Mapping[str, int]) -> dict[str, int]:
    return {re.sub(r"\W", "_", topic): count for topic, count in found.items()}


class Scrubbing(Service):
    """Runs the scrubber in a thread of the app. Set `make` on a subclass before the app starts it."""

    make: Callable[[], Scrubber]

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scrub", daemon=True)

    async def on_start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def on_stop(self) -> None:
        """Tell the thread to stop; what it was at is done again next time."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            type(self).make().run(self._stopping)
        except Exception:
            # Features do not depend on it; the next start takes it up again.
            log.exception("records of erased customers are not deleted any more")
