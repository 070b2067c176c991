"""Where to begin with a partition: at the earliest offset that the online or the offline store lacks.

Where the stores do not say, or the topic does not have it any more, nothing is guessed: the partition is refused by
a message that names the offsets and the way out (`refusals`).
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from confluent_kafka import Consumer

from feature_repo.redis_commands import Client, Connections, send
from streams import offline, topic_identity
from streams.contracts.observability import LOST, logger
from streams.ingest.apply import Applier, Held
from streams.ingest.partition_log import Claim, LostPartitionError, PartitionLog
from streams.ingest.refusals import (
    RecordsGoneError,
    Refusals,
    RefusedError,
    StateLostError,
    TopicChangedError,
    accepted_loss,
)
from streams.ingest.steps import Step, pass_by
from streams.lease import under_way
from streams.topic_identity import TopicIdentity
from streams.watermarks import watermarks

log = logger(__name__)

BACKFILL_KEY = b"hw:backfill"
"""What was written in bulk: a `Backfilled` as JSON."""

_REBUILD = "run: headwater rebuild-online"
_NEW_EPOCH = (
    "To keep what was learned and go on with this topic, run: headwater rebuild-online --new-epoch. To begin with "
    "nothing, remove the state, or choose other topics with HEADWATER_TOPIC_PREFIX"
)


class Backfilled(msgspec.Struct, frozen=True):
    """What was written in bulk before the stream began.

    Attributes
    ----------
    until: events before this instant were taken, microseconds since the epoch.
    rows: accepted events.
    source: what they were read from.
    stream: partition of interactions -> offset at which the stream begins.
    """

    until: int
    rows: int
    source: str
    stream: dict[str, int]


class RepartitionedError(RuntimeError):
    """The topic has another number of partitions than this process was made for: make it anew."""


def read_backfilled(client: Client) -> Backfilled | None:
    """Return the record of the backfill, None if there was none."""
    found = send(client, [(b"GET", BACKFILL_KEY)])[0]
    return None if found is None else msgspec.json.decode(found, type=Backfilled)


class Starts:
    """Finds where to begin, and takes partitions.

    Parameters
    ----------
    client: must not repeat commands by itself; see `PartitionLog`.
    connections: of the client.
    topic: of interactions.
    partitions: how many it has.
    store: path of the offline store.
    identity: asks Kafka which topic it is.
    marked: reads from the changelog how far each source was; asked only where Redis knows nothing.
    step: see `streams.ingest.steps`.
    """

    def __init__(
        self,
        client: Client,
        connections: Connections,
        topic: str,
        partitions: int,
        store: Path,
        identity: Callable[[], TopicIdentity],
        marked: Callable[[], Mapping[int, object]],
        step: Step = pass_by,
    ) -> None:
        self._client = client
        self._connections = connections
        self._step = step
        self._topic = topic
        self._store = store
        self._identity = identity
        self._marked = marked
        self._refusals = Refusals(client)
        self.partitions = partitions

    def renew(self) -> None:
        """Stay with one connection to Redis from now on, so that all that is written goes to one state of it."""
        self._connections.renew(self._client)

    def take(self, consumer: Consumer, partition: int, applier: Applier) -> tuple[Held, int]:
        """Claim a partition and recover it; return what is held and the offset to read from.

        Raises
        ------
        RefusedError: it must not be taken up as things are; says the way out.
        LostPartitionError: the stores are being filled.
        RepartitionedError: the process must be made anew.
        """
        try:
            taken = self._take(consumer, partition, applier)
        except RefusedError as error:
            self._refusals.note(partition, str(error))
            raise
        self._refusals.lift(partition)
        return taken

    def offline_start(self, partition: int, start: int) -> int:
        """Return the offset from which events are still to be handed to the offline store."""
        return max(start, offline.positions(self._store).get(partition, start))

    def _take(self, consumer: Consumer, partition: int, applier: Applier) -> tuple[Held, int]:
        self._nothing_under_way(partition)
        topic = self._confirmed()
        claim_log = PartitionLog(self._client, partition, self._connections)
        self._step("claim")
        claim = claim_log.claim()
        applier.recover(claim, partition, time.time_ns() // 1000)
        low, high = watermarks(consumer, self._topic, partition)
        online, start = self._place(partition, claim, low, high)
        self._step("resume")
        claim_log.resume(start)
        self._step("resumed")
        # Whoever fills the stores says so before it takes the partitions away: what came in between is seen now.
        self._nothing_under_way(partition)
        offline.remove_orphans(self._store, partition)
        items = start if claim.items is None else claim.items
        log.info("partition taken up", partition=partition, start=start, online=online, items=items)
        return Held(claim_log, online, items, topic), start

    def _nothing_under_way(self, partition: int) -> None:
        busy = under_way(self._client)
        if busy is not None:
            raise LostPartitionError(f"partition {partition} of interactions: {busy}")

    def _confirmed(self) -> TopicIdentity:
        """Return the topic that there is, after making sure that it is the one the stores were filled from."""
        found = self._identity()
        online, kept = topic_identity.in_redis(self._client), topic_identity.in_offline_store(self._store)
        if kept is not None and not found.same_topic(kept):
            raise self._changed(found, f"the offline store {self._store}", kept)
        if online is not None and kept is not None and online.epoch < kept.epoch:
            raise StateLostError(
                f"Redis is from before the topic {self._topic!r} was made anew (epoch {online.epoch}, the offline "
                f"store has {kept.epoch}): {_REBUILD}"
            )
        if online is not None and not found.same_topic(online):
            raise self._changed(found, "Redis", online)
        if found.partitions != self.partitions:
            raise RepartitionedError(
                f"topic {self._topic!r} has {found.partitions} partitions now; this process works with "
                f"{self.partitions}"
            )
        known = kept or online or TopicIdentity(found.id, found.partitions, 0, time.time_ns() // 1_000_000)
        if online is None:
            topic_identity.note_in_redis(self._client, known)
        if kept is None:
            topic_identity.note_in_offline_store(self._store, known)
        return found

    def _changed(self, found: TopicIdentity, where: str, known: TopicIdentity) -> TopicChangedError:
        how = "made anew" if found.id != known.id else "repartitioned"
        return TopicChangedError(
            f"topic {self._topic!r} has {found}, but {where} was filled from {known}: the topic was {how}. {_NEW_EPOCH}"
        )

    def _place(self, partition: int, claim: Claim, low: int, high: int) -> tuple[int, int]:
        """Return where the online store is, and where to read from."""
        stored = offline.positions(self._store)
        first = self._first(partition, low, claim.position is not None, stored)
        online = first if claim.position is None else claim.position
        kept = stored.get(partition, first)
        if max(online, kept) > high:
            raise TopicChangedError(
                f"partition {partition} of {self._topic!r} ends at offset {high}, but the stores hold "
                f"{max(online, kept)}: the topic lost its end, or was made anew. {_NEW_EPOCH}"
            )
        start = min(online, kept)
        return online, self._after_loss(partition, start, low)

    def _after_loss(self, partition: int, start: int, low: int) -> int:
        if start >= low:
            return start
        if accepted_loss(self._client, partition) < low:
            raise RecordsGoneError(
                f"partition {partition} of {self._topic!r}: offsets {start} to {low - 1} are gone before they were "
                f"read. To go on without them, run: headwater rebuild-online --accept-loss"
            )
        log.error("records are gone before they were read", partition=partition, wanted=start, oldest=low)
        LOST.labels(str(partition)).inc(low - start)
        return low

    def _first(self, partition: int, low: int, known: bool, stored: Mapping[int, int]) -> int:
        """Return where the stream begins: where the backfill ended, else at the oldest record.

        Parameters
        ----------
        known: Redis knows the partition.
        stored: positions of the offline store.
        """
        backfilled = read_backfilled(self._client)
        if backfilled is not None:
            return backfilled.stream.get(str(partition), low)
        if offline.BACKFILL in stored:
            raise StateLostError(
                f"the offline store {self._store} holds a backfill that Redis knows nothing of: Redis was emptied. To "
                f"fill it again, {_REBUILD}"
            )
        if not known:
            self._nothing_lost(partition, low, stored)
        return low

    def _nothing_lost(self, partition: int, low: int, stored: Mapping[int, int]) -> None:
        """Make sure that a Redis that knows nothing of a partition can be filled from the topic as it is now."""
        if partition in stored:
            began = min(each.start for each in offline.commits(self._store) if each.partition == partition)
        elif self._marked():
            began = 0
        else:
            return
        if low > began:
            raise StateLostError(
                f"Redis knows nothing of partition {partition} of {self._topic!r}, which was read from offset {began}; "
                f"the topic has nothing before {low} any more. To fill Redis again, {_REBUILD}"
            )
