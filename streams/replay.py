"""Replay a source through Kafka: catalogue, customers, then interactions in order of time, as fast as wanted.

Where a replay stands is kept in a checkpoint of records that Kafka has acknowledged, so it can be interrupted at any
moment and goes on from there. The few records after it are sent again with the same event ids, which does no harm.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple

from streams.contracts.codec import encode
from streams.publisher import Publisher
from streams.replay_checkpoint import Checkpoint, checkpoint_file
from streams.settings import Settings
from streams.sources.malformed import malformed_records
from streams.sources.source import Source, events

What = Literal["items", "customers", "interactions"]
ALL: tuple[What, ...] = ("items", "customers", "interactions")

_MARK_EVERY = 1_000
_SLICE = 2_000
_SAVE_EVERY_S = 0.5
_MALFORMED_AT = 1_577_836_800_000_000  # 2020-01-01: their event time, where that isn't what is wrong


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to send and how.

    Attributes
    ----------
    start, stop: limits of event time in microseconds; `start` <= time < `stop`.
    speed: multiple of real time; None is as fast as possible.
    limit: interactions in all, counted from the start of the selection.
    malformed: bad records to spread evenly among the interactions.
    """

    start: int | None = None
    stop: int | None = None
    speed: float | None = None
    limit: int | None = None
    what: tuple[What, ...] = ALL
    malformed: int = 0

    def __post_init__(self) -> None:
        if self.speed is not None and not self.speed > 0:
            raise ValueError(f"speed is {self.speed}; it must be above 0")
        if self.start is not None and self.stop is not None and self.start >= self.stop:
            raise ValueError(f"nothing lies between the start {self.start} and the stop {self.stop}")


@dataclass
class Summary:
    """What one run did: records sent by kind, how many an earlier run had sent, and how long it took.

    `seconds` is that of the interactions alone; `skipped` tells why rows of the source were left out.
    """

    sent: dict[What, int] = field(default_factory=dict)
    already_sent: dict[What, int] = field(default_factory=dict)
    malformed: int = 0
    seconds: float = 0.0
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Interactions a second."""
        return self.sent.get("interactions", 0) / self.seconds if self.seconds else 0.0


class Outgoing(NamedTuple):
    """A record about to be sent. `counts` is False for malformed ones; `time` is 0 where there is none."""

    key: bytes
    value: bytes
    time: int = 0
    counts: bool = True


Report = Callable[[What, int, int | None, int], None]
"""Called with the kind, how many of it are sent, how many there are (None: unknown), the newest event's time."""


def replay(
    source: Source,
    settings: Settings,
    plan: Plan,
    checkpoint: Checkpoint,
    report: Report = lambda *_: None,
) -> Summary:
    """Send what `plan` selects and `checkpoint` doesn't have yet; the checkpoint is saved as it goes.

    Raises
    ------
    DeliveryError: Kafka did not take a record; the checkpoint holds what it took before.
    ValueError: a file of the source is not what it should be.
    """
    summary = Summary()
    topics = {
        "items": settings.topics.items.name,
        "customers": settings.topics.customers.name,
        "interactions": settings.topics.interactions.name,
    }
    for what in (each for each in ALL if each in plan.what):
        sender = _Sender(what, topics[what], settings, plan, checkpoint, report)
        done = summary.already_sent[what] = checkpoint.done[what]
        total = _total(source, plan, what)
        began = time.monotonic()
        summary.sent[what] = sender.send(_outgoing(source, plan, what, done, total), done, total)
        if what == "interactions":
            summary.seconds = time.monotonic() - began
            summary.malformed = sender.malformed
    summary.skipped = dict(source.skipped)
    return summary


def _total(source: Source, plan: Plan, what: What) -> int | None:
    if what != "interactions":
        return None
    count = source.count(plan.start, plan.stop)
    return count if plan.limit is None else min(count, plan.limit)


def _outgoing(source: Source, plan: Plan, what: What, done: int, total: int | None) -> Iterator[Outgoing]:
    """Records of one kind, without the first `done`."""
    if what == "items":
        return (Outgoing(item.item_id.encode(), encode(item)) for item in islice(source.items(), done, None))
    if what == "customers":
        customers = islice(source.customers(), done, None)
        return (Outgoing(customer.customer_id.encode(), encode(customer)) for customer in customers)
    rows = _interactions(source, plan, done, total or 0)
    return interleave(rows, done, total or 0, plan.malformed) if plan.malformed else rows


def _interactions(source: Source, plan: Plan, done: int, total: int) -> Iterator[Outgoing]:
    left, skip = total - done, done
    for chunk in source.chunks(plan.start, plan.stop):
        if left <= 0:
            return
        first, skip = min(skip, chunk.num_rows), max(0, skip - chunk.num_rows)
        # Small slices: the first event leaves at once, and pacing isn't upset by a long conversion.
        for at in range(first, min(chunk.num_rows, first + left), _SLICE):
            length = min(_SLICE, first + left - at)
            for event in events(chunk.slice(at, length)):
                yield Outgoing(event.customer_id.encode(), encode(event), event.time)
        left -= min(left, chunk.num_rows - first)


def interleave(rows: Iterator[Outgoing], first_row: int, total: int, count: int) -> Iterator[Outgoing]:
    """Spread `count` malformed records evenly among `total` rows, of which `rows` are those from `first_row` on."""
    places = [(index + 1) * total // (count + 1) for index in range(count)]
    bad = malformed_records(count, _MALFORMED_AT)
    due = [(place, record) for place, record in zip(places, bad, strict=True) if place >= first_row]
    following = iter(due)
    place, record = next(following, (total, None))
    for row, outgoing in enumerate(rows, start=first_row):
        while record is not None and place <= row:
            yield Outgoing(record.key, record.value, 0, False)
            place, record = next(following, (total, None))
        yield outgoing
    while record is not None:
        yield Outgoing(record.key, record.value, 0, False)
        place, record = next(following, (total, None))


class _Sender:
    """Sends the records of one kind, at the plan's speed, keeping the checkpoint."""

    def __init__(
        self, what: What, topic: str, settings: Settings, plan: Plan, checkpoint: Checkpoint, report: Report
    ) -> None:
        live = plan.speed is not None
        self._publisher = Publisher(settings, {"linger.ms": 2} if live else None)
        self._what, self._topic, self._checkpoint, self._report = what, topic, checkpoint, report
        self._pace = Pace(plan.speed) if plan.speed is not None and what == "interactions" else None
        self._saved = time.monotonic()
        self.malformed = 0

    def send(self, records: Iterator[Outgoing], done: int, total: int | None) -> int:
        """Send all and wait for their arrival; return how many counted."""
        row, newest = done, 0
        try:
            for index, record in enumerate(records, start=1):
                if self._pace is not None and record.time:
                    self._wait_until(self._pace.due(record.time), row, total, newest)
                self._publisher.send(self._topic, record.key, record.value)
                newest = record.time or newest
                row += record.counts
                self.malformed += not record.counts
                if index % _MARK_EVERY == 0:
                    self._mark(row, total, newest)
            self._publisher.mark(row)
            self._publisher.flush()
        except BaseException:
            self._publisher.abandon(row)
            raise
        finally:
            self._save()
        self._report(self._what, row, row if total is None else total, newest)
        return row - done

    def _wait_until(self, due: float, row: int, total: int | None, newest: int) -> None:
        while (left := due - time.monotonic()) > 0.0005:
            self._mark(row, total, newest)
            self._publisher.wait(min(left, 0.1))

    def _mark(self, row: int, total: int | None, newest: int) -> None:
        self._publisher.mark(row)
        if time.monotonic() - self._saved > _SAVE_EVERY_S:
            self._save()
            self._report(self._what, row, total, newest)

    def _save(self) -> None:
        self._checkpoint.done[self._what] = max(self._checkpoint.done[self._what], self._publisher.acknowledged)
        self._checkpoint.save()
        self._saved = time.monotonic()


class Pace:
    """When an event is due: the first one now, the others `speed` times as fast as they happened."""

    def __init__(self, speed: float, now: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._now = now
        self._first: tuple[int, float] | None = None

    def due(self, event_time: int) -> float:
        """Monotonic seconds at which an event of this time (microseconds) is to be sent."""
        if self._first is None:
            self._first = (event_time, self._now())
        first, began = self._first
        return began + (event_time - first) / 1e6 / self._speed


def open_checkpoint(source: Source, settings: Settings, plan: Plan, cluster: str) -> Checkpoint:
    """The checkpoint of this selection of this source on this cluster, in the state directory."""
    selection = (source.fingerprint(), str(plan.start), str(plan.stop), settings.topic_prefix, cluster)
    return Checkpoint(checkpoint_file(settings.state / "checkpoints", source.name, *selection))
