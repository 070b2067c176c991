"""The loop: poll, apply batch by batch, flush the offline store, and take up partitions anew after any trouble.

There is one way back from trouble, whether this process crashed, Redis went away or a partition changed hands:
claim the partition, finish what was written ahead, and read again from the earliest offset that any store lacks.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import pyarrow as pa
import redis
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from streams.catalogue_feed import CatalogueFeed
from streams.contracts.codec import Limits
from streams.contracts.observability import BATCH_SECONDS, EVENT_AGE, HELD_BACK, INGEST_LAG, logger
from streams.erasure.topics import cause_of
from streams.ingest.apply import Applier, Held
from streams.ingest.batch import Records, decode
from streams.ingest.offline_writer import OfflineWriter
from streams.ingest.partition_log import LostPartitionError
from streams.ingest.start import Starts
from streams.ingest.steps import Step, pass_by

log = logger(__name__)

TROUBLE = (redis.RedisError, KafkaException, LostPartitionError, OSError)
"""What passes: a store that is away for a while, a partition that has changed hands, a disk that was full."""

_PATIENCE_S = 60.0
"""Seconds held back after which it is no passing trouble any more."""


@dataclass(frozen=True)
class Pace:
    """How the loop takes records.

    Attributes
    ----------
    records: at most so many at a time.
    linger_s: how long to collect after the first one has come.
    busy, busy_linger_s: how long to collect where so many came the last time: large batches cost less an event, and
        what is saved keeps the lag away.
    enough: so many are not kept waiting for more.
    idle_s: how long to wait for the first one.
    """

    records: int = 16_000
    linger_s: float = 0.01
    busy: int = 1000
    busy_linger_s: float = 0.1
    enough: int = 2000
    idle_s: float = 0.1


class _UnderWay(NamedTuple):
    """A batch that is begun, and what waits for it."""

    records: Records
    done: Callable[[], pa.Table]
    started: float


class Worker:
    """Takes part in the consumer group and applies what it is given. Runs in one thread.

    Parameters
    ----------
    consumer: not yet subscribed, without automatic commits.
    topic: of interactions.
    starts: finds where to begin with a partition.
    on_ready: called once the partitions of the first assignment are taken up.
    step: see `streams.ingest.steps`.
    """

    def __init__(
        self,
        consumer: Consumer,
        topic: str,
        starts: Starts,
        applier: Applier,
        offline: OfflineWriter,
        catalogue: CatalogueFeed,
        limits: Limits,
        on_ready: Callable[[], None] = lambda: None,
        pace: Pace = Pace(),
        step: Step = pass_by,
    ) -> None:
        self._step = step
        self._consumer = consumer
        self._topic = topic
        self._starts = starts
        self._applier = applier
        self._offline = offline
        self._catalogue = catalogue
        self._limits = limits
        self._on_ready = on_ready
        self.pace = pace
        self._held: dict[int, Held] = {}
        self._next: dict[int, int] = {}
        self._open: set[int] = set()
        self._assigned: list[int] = []
        self._stale = False
        self._looked_at = 0.0
        self._came = 0

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop, then leave everything written and committed."""
        self.join_group()
        try:
            while not stop.is_set():
                try:
                    self.cycle()
                except TROUBLE as error:
                    log.warning("held back", error=str(error))
                    self._hold_back(stop)
            self._leave()
        finally:
            self._close()

    def _leave(self) -> None:
        """Let go if that is possible: a store that is away must not keep the process from ending."""
        try:
            self._let_go()
        except TROUBLE as error:
            log.warning("stopped in trouble; the next owner reads again", error=str(error))

    def _close(self) -> None:
        self._consumer.close()
        self._offline.stop()
        self._catalogue.close()
        self._applier.close()

    def join_group(self) -> None:
        """Ask for partitions; `cycle` takes them up when they come."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def abandon(self) -> None:
        """Leave at once: what is not written stays unwritten, for the next owner to do."""
        self._drop()
        self._close()

    def cycle(self) -> None:
        """Poll once and apply what came."""
        messages = self._poll()
        if self._stale:
            # What was polled with, or before, a change of partitions is read again from where they start.
            self._take_up()
            return
        self._apply_all(list(self._by_partition(messages)))
        if not messages:
            self._finish_open()
        self._write_offline()
        self._look_around()

    def _poll(self) -> list[Message]:
        first = self._consumer.poll(self.pace.idle_s)
        if first is None or self._stale:
            return []
        pace = self.pace
        linger = pace.busy_linger_s if self._came >= pace.busy else pace.linger_s
        enough = min(pace.enough, pace.records)
        messages = [first, *self._consumer.consume(enough - 1, linger)]
        if len(messages) == enough < pace.records:
            messages += self._consumer.consume(pace.records - enough, 0)
        self._came = len(messages)
        return messages

    def _by_partition(self, messages: Sequence[Message]) -> Iterator[Records]:
        found: defaultdict[int, list[Message]] = defaultdict(list)
        for message in messages:
            error = message.error()
            partition = message.partition()
            if error is None and partition is not None:
                found[partition].append(message)
            elif error is not None and not error.retriable() and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
        for partition, some in found.items():
            offsets = [message.offset() or 0 for message in some]
            values = [message.value() for message in some]
            empty = [(at, cause_of(some[at].headers())) for at, value in enumerate(values) if not value]
            yield Records(
                partition,
                self._next[partition],
                offsets[-1] + 1,
                values,
                [message.key() for message in some],
                offsets,
                [message.timestamp()[1] for message in some],
                {offsets[at]: cause for at, cause in empty if cause is not None},
            )

    def _apply_all(self, found: Sequence[Records]) -> None:
        """Apply what came, beginning with each part while Redis is at work on the one before."""
        under_way: _UnderWay | None = None
        for records in chain.from_iterable(map(self._parts, found)):
            if under_way and (records.erasures or under_way.records.partition == records.partition):
                self._done(under_way)
                under_way = None
            if records.erasures:
                with BATCH_SECONDS.time():
                    self._applier.erase(self._held[records.partition], records, self._starts.partitions)
                self._applied(records, None)
                continue
            begun = self._begin(records)
            if under_way:
                self._done(under_way)
            under_way = begun
        if under_way:
            self._done(under_way)

    def _parts(self, records: Records) -> Sequence[Records]:
        held = self._held[records.partition]
        return records.parts(held.applied, held.items)

    def _begin(self, records: Records) -> _UnderWay:
        started = time.perf_counter()
        batch = decode(records, self._starts.partitions, self._limits)
        return _UnderWay(records, self._applier.post(self._held[records.partition], batch), started)

    def _done(self, under_way: _UnderWay) -> None:
        accepted = under_way.done()
        BATCH_SECONDS.observe(time.perf_counter() - under_way.started)
        self._applied(under_way.records, accepted)

    def _applied(self, records: Records, accepted: pa.Table | None) -> None:
        self._offline.add(records.partition, records.stop, accepted)
        self._next[records.partition] = records.stop
        self._open.add(records.partition)
        _observe_age(records)

    def _finish_open(self) -> None:
        for partition in list(self._open):
            self._applier.finish(self._held[partition], self._next[partition])
            self._open.discard(partition)

    def _write_offline(self) -> None:
        for partition in self._offline.due():
            self._offline.flush(partition)
        self._commit(self._offline.finished())

    def _commit(self, positions: dict[int, int], wait: bool = False) -> None:
        if positions:
            self._step("offline commit")
            offsets = [TopicPartition(self._topic, partition, at) for partition, at in positions.items()]
            if wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)

    def _look_around(self) -> None:
        """What is worth doing a few times a second only."""
        now = time.monotonic()
        if now - self._looked_at < 0.2:
            return
        self._looked_at = now
        for partition, held in self._held.items():
            if partition not in self._open:  # a batch would notice, but there may never be one again
                held.log.confirm(self._next[partition])
        self._catalogue.poll()
        for partition, at in self._next.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
            INGEST_LAG.labels(str(partition)).set(max(0, high - at))

    # Partitions come and go.

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Something must be assigned here; where to read from is found out in `_take_up`. Nothing is paused until then:
        # a pause or a resume beside an assignment may overtake it and leave a partition without a fetch for ever
        # (librdkafka's issues 2190 and 5591; seen once, a worker that never got a record).
        consumer.assign([TopicPartition(self._topic, each.partition, OFFSET_END) for each in partitions])
        self._assigned = sorted(each.partition for each in partitions)
        self._stale = True
        log.info("partitions assigned", partitions=self._assigned)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._leave()
        self._drop()
        consumer.unassign()

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.warning("partitions lost", partitions=[each.partition for each in partitions])
        self._drop()
        consumer.unassign()

    def _let_go(self) -> None:
        """Leave nothing unwritten."""
        if self._stale:
            return
        self._finish_open()
        for partition in self._held:
            self._offline.flush(partition)
        self._commit(self._offline.finished(wait=True), wait=True)

    def _drop(self) -> None:
        for partition in self._held:
            self._offline.close(partition)
            INGEST_LAG.remove(str(partition))
        self._held, self._next, self._assigned = {}, {}, []
        self._open.clear()
        self._applier.forget()
        self._stale = True

    def _take_up(self) -> None:
        """Claim the assigned partitions, recover what was unfinished, and read from where the stores are."""
        self._applier.forget()
        self._open.clear()
        self._held, self._next = {}, {}
        self._starts.renew()
        for partition in self._assigned:
            held, start = self._starts.take(self._consumer, partition, self._applier)
            self._held[partition], self._next[partition] = held, start
            self._offline.open(partition, self._starts.offline_start(partition, start))
        where = [TopicPartition(self._topic, partition, at) for partition, at in self._next.items()]
        if where:
            self._consumer.assign(where)
        self._stale = False
        HELD_BACK.set(0)
        self._on_ready()

    def _hold_back(self, stop: threading.Event) -> None:
        """Read nothing until everything can be taken up again; stay in the group meanwhile."""
        self._stale = True
        HELD_BACK.set(1)

        def wait(seconds: float) -> None:
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0 and not stop.wait(min(left, 0.2)):
                self._consumer.poll(0)  # for the group's sake; what it gives is read again

        def report(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            # One that stays may need a hand: what it is, and for how long, must be seen.
            seconds = round(state.seconds_since_start or 0.0, 1)
            tell = log.error if seconds > _PATIENCE_S else log.warning
            tell("still held back", attempts=state.attempt_number, seconds=seconds, error=str(error))

        wait(0.2)
        for attempt in Retrying(
            retry=retry_if_exception_type(TROUBLE),
            wait=wait_exponential(0.2, max=5.0),
            sleep=wait,
            after=report,
            stop=lambda state: stop.is_set(),
            retry_error_callback=lambda state: None,  # told to stop: nothing was taken up, nothing is to be written
        ):
            with attempt:
                self._offline.probe()
                self._take_up()


def _observe_age(records: Records) -> None:
    """Record how old events were when their features were written: of up to 16 events of the batch."""
    now = time.time()
    arrivals = records.arrivals
    for arrival in arrivals[:: max(1, len(arrivals) // 16)]:
        EVENT_AGE.observe(max(0.0, now - arrival / 1000))
