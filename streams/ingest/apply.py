"""One batch of a partition applied to everything: online store, changelogs, dead letters, offline store.

The order of the writes is what makes a crash between any two of them harmless; see `partition_log`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.fold import Folded, Outcome, fold
from feature_repo.items_state import apply_deltas
from feature_repo.online_store import Outcome as Write
from streams.contracts.observability import EVENTS
from streams.dead_letters import DeadLetters, letter
from streams.ingest.batch import Batch
from streams.ingest.changelog import Changelog
from streams.ingest.customer_writer import CustomerWriter
from streams.ingest.item_ids import ItemIds
from streams.ingest.item_writer import ItemWriter
from streams.ingest.offline_writer import accepted_table
from streams.ingest.partition_log import Claim, LostPartitionError, PartitionLog
from streams.ingest.state_cache import StateCache
from streams.ingest.steps import Step, pass_by
from streams.sender import Sender

_KEPT = (Outcome.APPLIED, Outcome.REPLAYED)
_ROW_BYTES = 400


@dataclass(frozen=True)
class Held:
    """A partition that this worker holds.

    Attributes
    ----------
    applied: offset before which every effect was in place when the partition was taken.
    items: offset before which the items' parts held everything then.
    """

    log: PartitionLog
    applied: int
    items: int

    @property
    def partition(self) -> int:
        """Number of the partition."""
        return self.log.partition


class Applier:
    """Applies batches to the stores; belongs to one thread.

    Parameters
    ----------
    topic: name of the interactions topic, for dead letters.
    cache_bytes: how much of the customers' rows to hold in process.
    step: see `streams.ingest.steps`.
    """

    def __init__(
        self,
        customers: CustomerWriter,
        items: ItemWriter,
        item_ids: ItemIds,
        changelog: Changelog,
        dead_letters: DeadLetters,
        sender: Sender,
        topic: str,
        cache_bytes: int = 512 << 20,
        step: Step = pass_by,
    ) -> None:
        self._customers = customers
        self._items = items
        self._item_ids = item_ids
        self._changelog = changelog
        self._dead_letters = dead_letters
        self._sender = sender
        self._topic = topic
        self._cache: StateCache[CustomerRow | None] = StateCache(cache_bytes)
        self._step = step

    def forget(self) -> None:
        """Drop everything held in process, as when partitions change hands."""
        self._cache.clear()
        self._items.forget()
        self._item_ids.forget()

    def forget_customers(self, customer_ids: Sequence[str]) -> None:
        """Drop customers' rows, as when they were deleted."""
        self._cache.drop(customer_ids)

    def recover(self, claim: Claim, partition: int, time: int) -> None:
        """Finish what an earlier owner of a partition had written ahead.

        Parameters
        ----------
        time: of the rows, microseconds since the epoch.
        """
        if claim.unfinished is not None and claim.unfinished.items:
            wal, source = claim.unfinished, str(partition)
            self._step("recover items")
            self._items.write(source, wal.stop, wal.items, time)
            self._step("recover changelog")
            self._changelog.items(source, wal.stop, wal.items)
            self._step("recover flush")
            self._sender.flush()

    def apply(self, held: Held, batch: Batch) -> pa.Table:
        """Apply a batch that lies whole before or whole after `held.items`; return the rows for the offline store.

        Raises
        ------
        LostPartitionError: another worker has the partition, or Redis is not what it was.
        redis.RedisError, KafkaException: a store is not there; take the partition up anew when it is.
        """
        records, source = batch.records, str(held.partition)
        states = CustomerStates.from_rows(self._states(batch.customer_ids))
        folded = fold(states, batch.events)
        newest = int(batch.events.arrival.max(initial=0))
        redo = held.applied <= records.start < held.items
        self._item_ids.remember([each.item_id for each in batch.interactions], batch.events.item)
        parts = [] if records.start < held.items else self._parts(source, folded)

        # The batch before counts as done once this one is begun, so its changelog must have arrived by now.
        self._step("flush")
        self._sender.flush()
        self._step("begin")
        held.log.begin(records.start, records.stop, parts)
        self._step("customers")
        touched = np.arange(len(states)) if redo else np.flatnonzero(folded.states.position > states.position)
        self._write_customers(held, batch, states, folded, touched)
        self._step("items")
        if parts:
            self._items.write(source, records.stop, parts, newest)
        self._step("changelog")
        held.log.check()
        self._changelog.items(source, records.stop, parts)
        self._reject(held, batch)
        self._step("applied")
        self._cache.shrink()
        self._count(folded.outcome)
        chosen = np.flatnonzero(np.isin(folded.outcome, _KEPT))
        return accepted_table(held.partition, batch.interactions, batch.events, chosen)

    def finish(self, held: Held, stop: int) -> None:
        """Say that everything before `stop` is in place; for when nothing follows at once."""
        self._step("finish")
        self._sender.flush()
        held.log.finish(stop)
        self._step("finished")

    def _states(self, customer_ids: Sequence[str]) -> list[CustomerRow | None]:
        missing = [customer for customer in customer_ids if self._cache.get(customer) is None]
        if missing:
            for customer, row in zip(missing, self._customers.read(missing), strict=True):
                self._cache.put(customer, row, _size(row))
        return [self._cache.get(customer) for customer in customer_ids]

    def _parts(self, source: str, folded: Folded) -> list[tuple[str, bytes]]:
        """Return the source's parts of the touched items after the batch."""
        keys = folded.deltas.items
        if len(keys) == 0:
            return []
        ids = self._item_ids.of(keys)
        after = apply_deltas(self._items.parts(source, ids), folded.deltas)
        return [(item, part.tobytes()) for item, part in zip(ids, after, strict=True)]

    def _write_customers(
        self,
        held: Held,
        batch: Batch,
        before: CustomerStates,
        folded: Folded,
        touched: npt.NDArray[np.int64],
    ) -> None:
        if len(touched) == 0:
            return
        states = folded.states.take(touched)
        rows = states.rows()
        ids = [batch.customer_ids[at] for at in touched.tolist()]
        arrived = np.zeros(len(before), dtype=np.int64)
        np.maximum.at(arrived, batch.events.customer, batch.events.arrival)
        outcomes = self._customers.write(ids, states, rows, arrived[touched])
        if (outcomes == Write.NEWER).any():
            someone = ids[int(np.flatnonzero(outcomes == Write.NEWER)[0])]
            raise LostPartitionError(
                f"partition {held.partition} of interactions: customer {someone!r} is ahead of offset "
                f"{batch.records.stop}: another worker has the partition"
            )
        for customer, row in zip(ids, rows, strict=True):
            self._cache.put(customer, row, _size(row))
        self._step("customers changelog")
        self._changelog.customers(ids, rows)

    def _reject(self, held: Held, batch: Batch) -> None:
        records = batch.records
        for rejection in batch.rejected:
            at = rejection.at
            if records.offsets[at] >= held.applied:
                self._dead_letters.send(
                    letter(
                        self._topic, records.partition, records.offsets[at], records.arrivals[at],
                        records.keys[at], records.values[at], rejection.why,
                    )
                )  # fmt: skip
        EVENTS.labels("rejected").inc(len(batch.rejected))

    def _count(self, outcomes: npt.NDArray[np.int8]) -> None:
        for outcome, count in _counts(outcomes):
            EVENTS.labels(outcome.name.lower()).inc(count)


def _counts(outcomes: npt.NDArray[np.int8]) -> Iterator[tuple[Outcome, int]]:
    counts = np.bincount(outcomes, minlength=len(Outcome)) if len(outcomes) else np.zeros(len(Outcome))
    return ((outcome, int(counts[outcome])) for outcome in Outcome if counts[outcome])


def _size(row: CustomerRow | None) -> int:
    if row is None:
        return _ROW_BYTES
    return _ROW_BYTES + len(row.history) + len(row.recent) + len(row.ids)
