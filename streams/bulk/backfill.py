"""History in bulk, without Kafka: the same kernels, folded customer by customer, into the same stores.

Afterwards everything looks as if the stream had brought it: rows in the online store, changelogs, offline files. The
rows carry position -1, item state the source `backfill`, and Redis says where the stream takes over.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from confluent_kafka import Consumer

from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import CustomerStates
from feature_repo.events import Outcome
from feature_repo.fold import fold
from feature_repo.items_state import ItemDeltas, ItemStates, apply_deltas, empty_items
from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import Client, send
from feature_repo.shop import Shop
from streams import compaction, offline, topic_identity
from streams.bulk.history import History, blocks, history
from streams.contracts.topics import Topics
from streams.erasure.erasures import without_erased
from streams.erasure.topics import read_ledger
from streams.ingest.changelog import Changelog
from streams.ingest.customer_writer import CustomerWriter
from streams.ingest.item_ids import remember_all
from streams.ingest.item_writer import BACKFILL, ItemWriter
from streams.ingest.partition_log import applied_position
from streams.ingest.start import BACKFILL_KEY, Backfilled, read_backfilled
from streams.lease import UNFINISHED_KEY, HeldElsewhereError, Lease, mark_finished, mark_unfinished
from streams.sender import Sender
from streams.topic_identity import TopicIdentity
from streams.watermarks import watermarks

POSITION = -1
"""Position of a customer whose state comes from a backfill."""

COMMAND = "headwater backfill"

_ITEMS_AT_ONCE = 5_000


class BackfillError(RuntimeError):
    """A backfill that must not be done."""


class Progress(NamedTuple):
    """What is being done, and how far it is."""

    step: str
    done: int
    total: int


@dataclass(frozen=True)
class Summary:
    """What a backfill did: rows read, accepted and given twice, customers and items written."""

    rows: int
    accepted: int
    duplicates: int
    customers: int
    items: int
    seconds: float


@dataclass(frozen=True)
class Stores:
    """Where a backfill writes.

    Attributes
    ----------
    kafka: librdkafka's connection settings.
    offline: path of the offline store.
    partitions: of the interactions topic.
    """

    store: OnlineStore
    sender: Sender
    topics: Topics
    kafka: Mapping[str, Any]
    offline: Any
    partitions: int

    @property
    def client(self) -> Client:
        """The connection to Redis."""
        return self.store.client


class Backfill:
    """One run.

    Parameters
    ----------
    catalogue: of the source's items.
    report: told about the progress.
    """

    def __init__(
        self,
        stores: Stores,
        shop: Shop,
        catalogue: Catalogue,
        report: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._stores = stores
        self._catalogue = catalogue
        self._customers = CustomerWriter(stores.store, shop, catalogue)
        self._items = ItemWriter(stores.store, shop, stores.partitions)
        self._changelog = Changelog(stores.sender, stores.topics)
        self._report = report

    def run(self, table: pa.Table, source: str, until: int, stream: Mapping[int, int]) -> Summary:
        """Write a history; see `guarded` for what must hold before.

        Parameters
        ----------
        table: with the offline store's schema; what erased customers did before their erasure is left out.
        source, until: for the record.
        stream: partition -> offset at which the stream takes over.
        """
        began = time.monotonic()
        self._report(Progress("reading", 0, table.num_rows))
        table = without_erased(table, read_ledger(self._stores.topics, self._stores.kafka))
        found = history(table)
        self._report(Progress("reading", table.num_rows, table.num_rows))
        mark_unfinished(self._stores.client, COMMAND)
        remember_all(self._stores.client, self._catalogue, found.item_ids)
        states = empty_items(len(found.item_ids))
        accepted = np.zeros(table.num_rows, dtype=bool)
        for first, end in blocks(found.offsets):
            rows = slice(found.offsets[first], found.offsets[end])
            outcome, deltas = self._block(found, first, end)
            accepted[found.order[rows]] = outcome == Outcome.APPLIED
            _add(states, found, rows, deltas)
            self._report(Progress("customers", rows.stop, table.num_rows))
        self._write_items(found, states, int(table["arrival"].to_numpy().max(initial=0)))
        self._stores.sender.flush(120.0)
        self._report(Progress("offline store", 0, 1))
        kept = table.filter(pa.array(accepted))
        offline.write_range(self._stores.offline, kept, offline.BACKFILL, 0, table.num_rows)
        record = Backfilled(until, kept.num_rows, source, {str(p): offset for p, offset in stream.items()})
        self._say(record, stream)
        self._report(Progress("offline store", 1, 1))
        return Summary(
            table.num_rows,
            kept.num_rows,
            table.num_rows - kept.num_rows,
            len(found.customer_ids),
            len(found.item_ids),
            time.monotonic() - began,
        )

    def _say(self, record: Backfilled, stream: Mapping[int, int]) -> None:
        """Leave word of what was done, in the changelogs first: what Redis says may be lost."""
        client, topic = self._stores.client, confirm_topic(self._stores)
        self._changelog.backfilled(msgspec.json.encode(record))
        for partition, offset in stream.items():
            self._changelog.position(partition, offset, topic)
        self._stores.sender.flush(120.0)
        send(client, [(b"SET", BACKFILL_KEY, msgspec.json.encode(record))])
        mark_finished(client)

    def _block(self, found: History, first: int, end: int) -> tuple[npt.NDArray[np.int8], ItemDeltas]:
        rows = np.arange(found.offsets[first], found.offsets[end])
        events = found.events.take(rows)
        events = replace(events, customer=events.customer - first)
        folded = fold(CustomerStates.empty(end - first), events)
        states = replace(folded.states, position=np.full(end - first, POSITION, dtype=np.int64))
        packed = states.rows()
        ids = found.customer_ids[first:end]
        arrived = np.maximum.reduceat(events.arrival, found.offsets[first:end] - found.offsets[first])
        self._customers.write(ids, states, packed, arrived, replace_same=True)
        self._changelog.customers(ids, packed)
        return folded.outcome, folded.deltas

    def _write_items(self, found: History, states: ItemStates, at: int) -> None:
        total = len(found.item_ids)
        for first in range(0, total, _ITEMS_AT_ONCE):
            ids = found.item_ids[first : first + _ITEMS_AT_ONCE]
            items = [(name, states[first + place].tobytes()) for place, name in enumerate(ids)]
            self._items.write(BACKFILL, 0, items, at)
            self._changelog.items(BACKFILL, 0, items)
            self._report(Progress("items", first + len(ids), total))


def _add(states: ItemStates, found: History, rows: slice, deltas: ItemDeltas) -> None:
    """Add a block's changes to the items' states, in place."""
    if len(deltas.items) == 0:
        return
    order = np.argsort(found.events.item[rows], kind="stable")
    at = order[np.searchsorted(found.events.item[rows][order], deltas.items)]
    which = found.item[rows][at]
    states[which] = apply_deltas(states[which], deltas)


@contextmanager
def guarded(stores: Stores, replacing: bool, reset: Callable[[], None]) -> Iterator[dict[int, int]]:
    """Keep workers away while a backfill runs; give the offsets at which the stream takes over.

    Parameters
    ----------
    replacing: forget what there is first; the stream then begins at its present end.
    reset: does the forgetting.

    Raises
    ------
    BackfillError: there is something already, or another backfill is under way.
    """
    if not replacing:
        _refuse_twice(stores)
    try:
        with Lease(stores.client, COMMAND):
            low, high = ends(stores)
            if replacing:
                mark_unfinished(stores.client, COMMAND)
            take_partitions_away(stores)
            if replacing:
                time.sleep(1.0)  # for a batch that was on its way
                reset()
                topic_identity.note(stores.client, stores.offline, topic_identity.look_up(stores.kafka, _topic(stores)))
            else:
                _remove_leftovers(stores)
                confirm_topic(stores)
            yield high if replacing else low
    except HeldElsewhereError as error:
        raise BackfillError(str(error)) from error


def take_partitions_away(stores: Stores) -> None:
    """Have workers lose their partitions; they can't take them up while the lease is held."""
    found = list(stores.client.scan_iter(match=b"hw:stream:*", count=1000))
    send(stores.client, [(b"DEL", key) for key in found])


def raise_fences(stores: Stores) -> None:
    """Have workers lose their partitions, and leave what is known of these as it is."""
    found = list(stores.client.scan_iter(match=b"hw:stream:*", count=1000))
    send(stores.client, [(b"HINCRBY", key, b"fence", 1) for key in found])


def confirm_topic(stores: Stores) -> TopicIdentity:
    """Return the topic of interactions, after making sure that the stores know no other one.

    Raises
    ------
    BackfillError: they do.
    """
    found = topic_identity.look_up(stores.kafka, _topic(stores))
    for known in (topic_identity.in_redis(stores.client), topic_identity.in_offline_store(stores.offline)):
        if known is not None and not found.same_topic(known):
            raise BackfillError(
                f"topic {_topic(stores)!r} has {found}, but the stores were filled from {known}; see headwater status"
            )
    topic_identity.note(stores.client, stores.offline, found)
    return found


def _topic(stores: Stores) -> str:
    return stores.topics.interactions.name


def _unfinished(stores: Stores) -> bool:
    return bool(send(stores.client, [(b"GET", UNFINISHED_KEY)])[0] == COMMAND.encode())


def _remove_leftovers(stores: Stores) -> None:
    """Remove what a backfill that was killed had written offline; rows are simply written again."""
    if _unfinished(stores):
        with compaction.locked(stores.offline, wait=True):
            for name in ("commits", "interactions"):
                shutil.rmtree(stores.offline / name, ignore_errors=True)


def _refuse_twice(stores: Stores) -> None:
    if _unfinished(stores):
        return
    way_out = "Give --replace to forget it all and start over from the end of the stream."
    before = read_backfilled(stores.client)
    if before is not None:
        raise BackfillError(f"{before.rows:,} events of {before.source} are backfilled already. {way_out}")
    low, _ = ends(stores)
    for partition in range(stores.partitions):
        position = applied_position(stores.client, partition)
        if position is not None and position > low[partition]:
            raise BackfillError(
                f"events of the stream are applied already (partition {partition} up to offset {position}); history "
                f"can't be put under them. {way_out}"
            )
    if offline.positions(stores.offline):
        raise BackfillError(f"the offline store {stores.offline} is not empty. {way_out}")


def ends(stores: Stores) -> tuple[dict[int, int], dict[int, int]]:
    """Return each partition's oldest and next offset."""
    topic = stores.topics.interactions.name
    consumer = Consumer({**stores.kafka, "group.id": "headwater-metadata"})
    try:
        found = {partition: watermarks(consumer, topic, partition) for partition in range(stores.partitions)}
    finally:
        consumer.close()
    return {p: low for p, (low, _) in found.items()}, {p: high for p, (_, high) in found.items()}
