"""Where to begin with a partition: at the earliest offset that the online or the offline store lacks."""

import time
from pathlib import Path

import msgspec
from confluent_kafka import Consumer

from feature_repo.redis_commands import Client, send
from streams import offline
from streams.contracts.observability import logger
from streams.ingest.apply import Applier, Held
from streams.ingest.partition_log import LostPartitionError, PartitionLog
from streams.ingest.steps import Step, pass_by
from streams.upserts import ERASED_KEY
from streams.watermarks import watermarks

log = logger(__name__)

BACKFILL_KEY = b"hw:backfill"
"""What was written in bulk: a `Backfilled` as JSON."""

BACKFILLING_KEY = b"hw:backfilling"
"""There while a backfill is under way; workers take up nothing meanwhile."""


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


class TopicChangedError(RuntimeError):
    """The topic is not the one that the stores were filled from."""


def read_backfilled(client: Client) -> Backfilled | None:
    """Return the record of the backfill, None if there was none."""
    found = send(client, [(b"GET", BACKFILL_KEY)])[0]
    return None if found is None else msgspec.json.decode(found, type=Backfilled)


class Starts:
    """Finds where to begin, and takes partitions.

    Parameters
    ----------
    client: must not repeat commands by itself; see `PartitionLog`.
    topic: of interactions.
    partitions: how many it has.
    store: path of the offline store.
    step: see `streams.ingest.steps`.
    """

    def __init__(self, client: Client, topic: str, partitions: int, store: Path, step: Step = pass_by) -> None:
        self._client = client
        self._step = step
        self._topic = topic
        self._store = store
        self._erased_until = b"0"
        self.partitions = partitions

    def take(self, consumer: Consumer, partition: int, applier: Applier) -> tuple[Held, int]:
        """Claim a partition and recover it; return what is held and the offset to read from.

        Raises
        ------
        TopicChangedError: the topic ends before what is in the stores.
        RuntimeError: the stores do not belong together.
        LostPartitionError: a backfill is under way.
        """
        if send(self._client, [(b"EXISTS", BACKFILLING_KEY)])[0]:
            raise LostPartitionError(f"partition {partition} of interactions: a backfill is under way")
        claim_log = PartitionLog(self._client, partition)
        self._step("claim")
        claim = claim_log.claim()
        applier.recover(claim, partition, time.time_ns() // 1000)
        low, high = watermarks(consumer, self._topic, partition)
        first = self._first(partition, low)
        online = first if claim.position is None else claim.position
        start = min(online, self._in_store(partition, first))
        if max(online, self._in_store(partition, first)) > high:
            raise TopicChangedError(
                f"partition {partition} of {self._topic!r} ends at offset {high}, but the stores hold {online}: the "
                f"topic was made anew. Empty the stores with it (headwater down, then remove the state), or give the "
                f"new topic another HEADWATER_TOPIC_PREFIX"
            )
        if start < low:
            log.error("records are gone before they were read", partition=partition, wanted=start, oldest=low)
            start = low
        self._step("resume")
        claim_log.resume(start)
        self._step("resumed")
        offline.remove_orphans(self._store, partition)
        items = start if claim.items is None else claim.items
        log.info("partition taken up", partition=partition, start=start, online=online, items=items)
        return Held(claim_log, online, items), start

    def offline_start(self, partition: int, start: int) -> int:
        """Return the offset from which events are still to be handed to the offline store."""
        return max(start, offline.positions(self._store).get(partition, start))

    def erased(self) -> list[str]:
        """Return the ids of the customers that were deleted since the last call."""
        answer = send(self._client, [(b"XREAD", b"COUNT", b"10000", b"STREAMS", ERASED_KEY, self._erased_until)])[0]
        if not answer:
            return []
        entries = (answer[0] if isinstance(answer, list) else next(iter(answer.items())))[1]
        self._erased_until = entries[-1][0]
        return [fields[1].decode() for _, fields in entries]

    def _in_store(self, partition: int, first: int) -> int:
        return offline.positions(self._store).get(partition, first)

    def _first(self, partition: int, low: int) -> int:
        """Return where the stream begins: where the backfill ended, else at the oldest record."""
        backfilled = read_backfilled(self._client)
        if backfilled is None:
            if offline.BACKFILL in offline.positions(self._store):
                raise RuntimeError(
                    f"the offline store {self._store} holds a backfill that Redis knows nothing of: Redis was emptied. "
                    f"Run the backfill again with --replace, or remove the offline store"
                )
            return low
        return backfilled.stream.get(str(partition), low)
