"""One batch of a partition applied to everything: online store, changelogs, dead letters, offline store.

The order of the writes is what makes a crash between any two of them harmless; see `partition_log`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.customer_state import CustomerRow, CustomerStates
from feature_repo.erasure import Erased, erase
from feature_repo.events import Outcome
from feature_repo.fold import Folded, fold
from feature_repo.items_state import ItemDeltas, apply_deltas
from feature_repo.online_store import Outcome as Write
from feature_repo.online_store import Outcomes
from streams.contracts.observability import ERASURES, EVENTS
from streams.dead_letters import DeadLetters, letter
from streams.erasure.topics import LedgerFeed
from streams.ingest.batch import Batch, Records, Rejection, decode_erasures, without
from streams.ingest.changelog import Changelog
from streams.ingest.customer_writer import CustomerWriter
from streams.ingest.item_ids import ItemIds
from streams.ingest.item_writer import ItemWriter
from streams.ingest.offline_writer import accepted_table
from streams.ingest.partition_log import Claim, LostPartitionError, PartitionLog
from streams.ingest.state_cache import StateCache
from streams.ingest.steps import Step, pass_by
from streams.sender import Sender
from streams.topic_identity import TopicIdentity

_KEPT = (Outcome.APPLIED, Outcome.REPLAYED)
_ROW_BYTES = 400


@dataclass(frozen=True)
class Held:
    """A partition that this worker holds.

    Attributes
    ----------
    applied: offset before which every effect was in place when the partition was taken.
    items: offset before which the items' parts held everything then.
    topic: which one the offsets are of.
    """

    log: PartitionLog
    applied: int
    items: int
    topic: TopicIdentity

    @property
    def partition(self) -> int:
        """Number of the partition."""
        return self.log.partition


class Applier:
    """Applies batches to the stores; belongs to one thread.

    Parameters
    ----------
    ledger: of erased customers.
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
        ledger: LedgerFeed,
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
        self._ledger = ledger
        self._sender = sender
        self._topic = topic
        self._cache: StateCache[CustomerRow | None] = StateCache(cache_bytes)
        self._step = step

    def forget(self) -> None:
        """Drop everything held in process, as when partitions change hands."""
        self._cache.clear()
        self._items.forget()
        self._item_ids.forget()

    def close(self) -> None:
        """Leave the broker."""
        self._ledger.close()
        self._sender.close()

    def recover(self, claim: Claim, partition: int, time: int) -> None:
        """Learn whom earlier owners of a partition have erased, and finish what the last one had written ahead.

        Parameters
        ----------
        time: of the rows, microseconds since the epoch.
        """
        self._ledger.catch_up()
        if claim.unfinished is not None and claim.unfinished.items:
            wal, source = claim.unfinished, str(partition)
            self._step("recover items")
            self._items.write(source, wal.stop, wal.items, time)
            self._step("recover changelog")
            self._changelog.items(source, wal.stop, wal.items)
            self._step("recover flush")
            self._sender.flush()

    def post(self, held: Held, batch: Batch) -> Callable[[], pa.Table]:
        """Begin to apply a batch that lies whole before or whole after `held.items`.

        What is returned waits for the stores, says in the changelogs and dead letters what has become of the batch, and
        returns the rows for the offline store. It must be called before anything else of the partition begins; another
        partition's batch may begin before that, so that Redis is at work while that one is decoded and folded.

        Raises
        ------
        LostPartitionError: another worker has the partition, or Redis is not what it was.
        redis.RedisError, KafkaException: a store is not there; take the partition up anew when it is.
        """
        batch, hidden = self._without_erased(held, batch)
        records, source = batch.records, str(held.partition)
        rows = self._states(batch.customer_ids)
        states = CustomerStates.from_rows(rows)
        folded = fold(states, batch.events)
        newest = int(batch.events.arrival.max(initial=0))
        redo = held.applied <= records.start < held.items
        self._item_ids.remember([each.item_id for each in batch.interactions], batch.events.item)
        parts = [] if records.start < held.items else self._parts(source, folded.deltas)

        # The batch before counts as done once this one is begun, so its changelog must have arrived by now.
        self._step("flush")
        self._sender.flush()
        self._step("begin")
        held.log.begin(records.start, records.stop, parts)
        self._mark(held, records.start)
        self._step("customers")
        touched = np.arange(len(states)) if redo else np.flatnonzero(folded.states.position > states.position)
        customers_written = self._post_customers(held, batch, rows, folded, touched, redo)
        self._step("items")
        items_written = self._items.post(source, records.stop, parts, newest) if parts else None

        def done() -> pa.Table:
            customers_written()
            chosen = np.flatnonzero(np.isin(folded.outcome, _KEPT) & ~hidden)
            accepted = accepted_table(held.partition, batch.interactions, batch.events, chosen)
            if items_written is not None:
                items_written()
            self._step("changelog")
            held.log.check()
            self._changelog.items(source, records.stop, parts)
            self._reject(held, records, batch.rejected)
            self._step("applied")
            self._cache.shrink()
            self._count(folded.outcome)
            return accepted

        return done

    def erase(self, held: Held, records: Records, partitions: int) -> None:
        """Apply records that ask for erasures and lie whole before or whole after `held.items`; raises as `apply`."""
        batch, source = decode_erasures(records, partitions, self._ledger.ledger), str(held.partition)
        # Before `held.applied` all is in place, and of who was erased there is not even a row to tell it by.
        last = {} if records.start < held.applied else batch.last()
        ids, at = list(last), np.array(list(last.values()), dtype=np.int64)
        erased = erase(CustomerStates.from_rows(self._states(ids)), at)
        parts = [] if records.start < held.items else self._parts(source, erased.deltas)

        self._step("flush")
        self._sender.flush()
        self._step("begin")
        held.log.begin(records.start, records.stop, parts)
        self._mark(held, records.start)
        # The ledger first, so that whoever finds the customer gone also finds why.
        self._step("ledger")
        self._ledger.write(batch.entries if last else [])
        self._step("customers")
        self._take_away(held, ids, erased)
        self._step("items")
        if parts:
            self._items.write(source, records.stop, parts, max(records.arrivals) * 1000)
        self._step("changelog")
        held.log.check()
        self._changelog.items(source, records.stop, parts)
        # Who has come back since is in the changelog with that.
        gone = np.flatnonzero(erased.states.position == at).tolist()
        self._changelog.forget_customers([ids[row] for row in gone], at[gone].tolist())
        self._reject(held, records, batch.rejected)
        self._step("applied")
        ERASURES.inc(len(ids))

    def finish(self, held: Held, stop: int) -> None:
        """Say that everything before `stop` is in place; for when nothing follows at once."""
        self._step("finish")
        self._sender.flush()
        held.log.finish(stop)
        self._mark(held, stop)
        self._step("finished")

    def _mark(self, held: Held, offset: int) -> None:
        """Say in the changelogs' own topic that they hold everything before an offset; what was sent has arrived."""
        self._changelog.position(held.partition, max(offset, held.applied), held.topic)

    def _states(self, customer_ids: Sequence[str]) -> list[CustomerRow | None]:
        rows = [self._cache.get(customer) for customer in customer_ids]
        missing = [at for at, row in enumerate(rows) if row is None]
        if missing:
            ids = [customer_ids[at] for at in missing]
            for at, customer, row in zip(missing, ids, self._customers.read(ids), strict=True):
                self._cache.put(customer, row, _size(row))
                rows[at] = row
        return rows

    def _without_erased(self, held: Held, batch: Batch) -> tuple[Batch, npt.NDArray[np.bool_]]:
        """Leave out what must not be applied; tell which of the rest must not get into the offline store.

        What stands before its customer's erasure is applied like anything else, so that a replay goes the same way
        as the first time: the erasure will take it back. Where all has been applied, nothing of it is needed.
        """
        events = batch.events
        found = self._ledger.ledger.look_up(
            batch.customer_ids, events.customer, events.time, events.arrival, events.offset, streamed=True
        )
        if found is None:
            return batch, np.zeros(len(events), dtype=np.bool_)
        left_out = found.erased if batch.records.start < held.applied else found.late
        EVENTS.labels("erased").inc(int(left_out.sum()))
        return without(batch, left_out), found.erased[~left_out]

    def _parts(self, source: str, deltas: ItemDeltas) -> list[tuple[str, bytes]]:
        """Return the source's parts of the touched items after the batch."""
        keys = deltas.items
        if len(keys) == 0:
            return []
        ids = self._item_ids.of(keys)
        after = apply_deltas(self._items.parts(source, ids), deltas)
        return [(item, part.tobytes()) for item, part in zip(ids, after, strict=True)]

    def _post_customers(
        self,
        held: Held,
        batch: Batch,
        rows_before: Sequence[CustomerRow | None],
        folded: Folded,
        touched: npt.NDArray[np.int64],
        redo: bool,
    ) -> Callable[[], None]:
        """Begin to write customers' rows; what is returned waits for them and tells the changelog."""
        if len(touched) == 0:
            return lambda: None
        states = folded.states.take(touched)
        rows = states.rows()
        ids = [batch.customer_ids[at] for at in touched.tolist()]
        arrived = np.zeros(len(rows_before), dtype=np.int64)
        np.maximum.at(arrived, batch.events.customer, batch.events.arrival)
        stored = [rows_before[at] for at in touched.tolist()]
        back = [name for name, row in zip(ids, stored, strict=True) if row and row.blank and row.position >= 0]
        if back:  # erased, and here again
            self._customers.keep(back)
        # What a batch is done again for may not have reached the changelog the first time.
        sealed = None if redo else [row.sealed if row else b"" for row in stored]
        posted = self._customers.post(ids, states, rows, arrived[touched], before=stored)

        def done() -> None:
            _check_owned(held, ids, posted(), batch.records.stop)
            for customer, row in zip(ids, rows, strict=True):
                self._cache.put(customer, row, _size(row))
            self._step("customers changelog")
            self._changelog.customers(ids, rows, sealed)

        return done

    def _take_away(self, held: Held, customer_ids: Sequence[str], erased: Erased) -> None:
        """Remove the rows of the customers who are due."""
        due = np.flatnonzero(erased.due)
        ids, states = [customer_ids[row] for row in due.tolist()], erased.states.take(due)
        outcomes = self._customers.take_away(ids, states.position.tolist())
        _check_owned(held, ids, outcomes, int(states.position.max(initial=0)))
        for customer, row in zip(ids, states.rows(), strict=True):
            self._cache.put(customer, row, _size(row))

    def _reject(self, held: Held, records: Records, rejected: Sequence[Rejection]) -> None:
        for rejection in rejected:
            at = rejection.at
            if records.offsets[at] >= held.applied:
                self._dead_letters.send(
                    letter(
                        self._topic, records.partition, records.offsets[at], records.arrivals[at],
                        records.keys[at], records.values[at], rejection.why,
                    )
                )  # fmt: skip
        EVENTS.labels("rejected").inc(len(rejected))

    def _count(self, outcomes: npt.NDArray[np.int8]) -> None:
        for outcome, count in _counts(outcomes):
            EVENTS.labels(outcome.name.lower()).inc(count)


def _check_owned(held: Held, ids: Sequence[str], outcomes: Outcomes, stop: int) -> None:
    if (outcomes == Write.NEWER).any():
        someone = ids[int(np.flatnonzero(outcomes == Write.NEWER)[0])]
        raise LostPartitionError(
            f"partition {held.partition} of interactions: customer {someone!r} is ahead of offset {stop}: another "
            f"worker has the partition"
        )


def _counts(outcomes: npt.NDArray[np.int8]) -> Iterator[tuple[Outcome, int]]:
    counts = np.bincount(outcomes, minlength=len(Outcome)) if len(outcomes) else np.zeros(len(Outcome))
    return ((outcome, int(counts[outcome])) for outcome in Outcome if counts[outcome])


def _size(row: CustomerRow | None) -> int:
    if row is None:
        return _ROW_BYTES
    return _ROW_BYTES + len(row.history) + len(row.recent) + len(row.ids) + len(row.sealed)
