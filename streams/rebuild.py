"""Fill an online store that was emptied, or is wrong, from what the stream has left elsewhere.

There are two such places. `changelog_cut` takes the last states from the compacted changelogs, at the newest
position of each partition at which they are known to be whole. `offline_pass` folds the accepted events of the
offline store. Both give, for each partition, the state of exactly the events before one position, and the stream is
read on from there; the docstrings say why. ``auto`` takes the changelogs where they can be proven right, else the
offline store.

In this order, so that a rebuild may be killed anywhere and started again:

1. take the lease, say that the stores are not whole, take the partitions away from workers (`lease`)
2. forget what Redis holds: it may be of another time, and is not compared
3. write customers, items' parts and totals, ids of items outside of the catalogue, catalogue and customers' records
4. write each partition's position with a fence that no worker ever had, and the topic's identity
5. say that the stores are whole; workers, which have waited, take up by themselves

A new epoch makes what there is the base of a stream that begins anew. The offline store is put aside whole and a
store with all its events as one bulk range takes its place; customers get position -1, their ids of seen events
numbers below zero, and the items' parts become one of the source `backfill`. No offset of the old topic is left that
could be taken for one of the new.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from feature_repo.catalogue import Catalogue
from feature_repo.item_partials import ItemPartials
from feature_repo.item_totals import total_columns
from feature_repo.items_state import total
from feature_repo.online_store import VERSION
from feature_repo.redis_commands import send
from feature_repo.shop import Shop
from feature_repo.views import item_purchases
from streams import offline, topic_identity
from streams.backfill import Progress, Stores, confirm_topic, ends, take_partitions_away
from streams.changelog_cut import ChangelogCut
from streams.changelog_keys import read_keys
from streams.contracts.observability import logger
from streams.erasure_topics import read_ledger
from streams.erasures import Ledger, without_erased
from streams.ingest.changelog import Changelog
from streams.ingest.customer_writer import CustomerWriter
from streams.ingest.item_ids import remember_all
from streams.ingest.item_writer import BACKFILL
from streams.ingest.start import BACKFILL_KEY, Backfilled
from streams.lease import Lease, mark_finished, mark_unfinished
from streams.offline_epoch import begin_epoch, put_in_place
from streams.offline_pass import OfflinePass, base_of, relabelled
from streams.rebuilt import Block, CantRebuildError, Parts, Rebuilt, merged
from streams.topic_identity import TopicIdentity
from streams.wipe import wipe

log = logger(__name__)

COMMAND = "headwater rebuild-online"

SOURCES = ("auto", "changelog", "offline")

_ITEMS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Summary:
    """What a rebuild did.

    Attributes
    ----------
    source: what it was done from.
    refused: why the changelogs were not taken, None if they were or were not asked for.
    customers, items, records: rows written; records of the catalogue and of customers.
    positions: partition -> offset at which the stream goes on.
    epoch: of the topic.
    """

    source: str
    refused: str | None
    customers: int
    items: int
    records: int
    positions: Mapping[int, int]
    epoch: int
    seconds: float


class Rebuild:
    """One run.

    Parameters
    ----------
    catalogue: of the shop's items, as their topic tells them.
    upserts: writes the records of the topics `items` and `customers`, and returns how many.
    report: told about the progress.
    """

    def __init__(
        self,
        stores: Stores,
        shop: Shop,
        catalogue: Catalogue,
        upserts: Callable[[], int] = lambda: 0,
        report: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._stores = stores
        self._catalogue = catalogue
        self._upserts = upserts
        self._report = report
        self._customers = CustomerWriter(stores.store, shop, catalogue)
        self._item_layout = item_purchases(shop)
        self._partials = ItemPartials(stores.store, [*map(str, range(stores.partitions)), BACKFILL])
        self._changelog = Changelog(stores.sender, stores.topics)

    def run(self, source: str = "auto", new_epoch: bool = False) -> Summary:
        """Do it.

        Parameters
        ----------
        source: one of `SOURCES`.
        new_epoch: make what there is the base of a stream that begins at the start of the present topic.

        Raises
        ------
        CantRebuildError: there is nothing that the state could surely be restored from.
        BackfillError: the topic is another one than that of the stores, and no new epoch was asked for.
        HeldElsewhereError: somebody else is filling the stores.
        """
        began = time.monotonic()
        stores = self._stores
        with Lease(stores.client, COMMAND) as lease:
            topic = self._topic(new_epoch)
            mark_unfinished(stores.client, COMMAND)
            take_partitions_away(stores)
            time.sleep(1.0)  # for a batch that was on its way
            refused = None
            for rebuilt in self._sources(source, topic, new_epoch):
                if isinstance(rebuilt, CantRebuildError):
                    refused = str(rebuilt)
                    continue
                try:
                    lease.check()
                    customers, items, positions = self._write(rebuilt, topic, new_epoch)
                    break
                except CantRebuildError as error:
                    refused = str(error)
                    log.warning("can't rebuild from there", source=rebuilt.name, why=refused)
            else:
                raise CantRebuildError(refused or "nothing to rebuild from")
            records = self._upserts()
            lease.check()
            self._finish(topic, positions)
        seconds = time.monotonic() - began
        told = refused if source == "auto" and rebuilt.name != ChangelogCut.name else None
        return Summary(rebuilt.name, told, customers, items, records, positions, topic.epoch, seconds)

    def _topic(self, new_epoch: bool) -> TopicIdentity:
        """Return the topic as the stores will know it."""
        stores = self._stores
        if not new_epoch:
            known = topic_identity.in_offline_store(stores.offline)
            if known is not None:
                topic_identity.note_in_redis(stores.client, known)  # Redis may be of an earlier epoch
            return confirm_topic(stores)
        found = topic_identity.look_up(stores.kafka, stores.topics.interactions.name)
        known = topic_identity.in_offline_store(stores.offline) or topic_identity.in_redis(stores.client)
        epoch = 1 + (known.epoch if known is not None else 0)
        return TopicIdentity(found.id, found.partitions, epoch, time.time_ns() // 1_000_000)

    def _sources(self, source: str, topic: TopicIdentity, new_epoch: bool) -> Iterator[Rebuilt | CantRebuildError]:
        """Yield what can be tried, the better first: after a new epoch the base is what training sees, too."""
        tried: dict[str, Callable[[], Rebuilt]] = {
            "changelog": lambda: self._from_changelog(topic, new_epoch),
            "offline": lambda: self._from_offline(topic, new_epoch),
        }
        if source != "auto":
            tried = {source: tried[source]}
        for name in sorted(tried, reverse=new_epoch):
            try:
                yield tried[name]()
            except CantRebuildError as error:
                yield error

    def _from_changelog(self, topic: TopicIdentity, new_epoch: bool) -> Rebuilt:
        return ChangelogCut(
            self._stores.topics, self._stores.kafka, topic, new_epoch,
            lambda done, total: self._report(Progress("changelogs", done, total)),
        )  # fmt: skip

    def _from_offline(self, topic: TopicIdentity, new_epoch: bool) -> Rebuilt:
        stores = self._stores
        self._report(Progress("reading", 0, 1))
        if new_epoch:
            put_in_place(stores.offline)
        found = OfflinePass(
            stores.offline, self._ledger(), topic.partitions, new_epoch,
            lambda done, total: self._report(Progress("events", done, total)),
        )  # fmt: skip
        self._report(Progress("reading", 1, 1))
        return found

    def _write(self, rebuilt: Rebuilt, topic: TopicIdentity, new_epoch: bool) -> tuple[int, int, dict[int, int]]:
        """Write customers and items; return how many, and where the stream goes on."""
        wipe(self._stores)
        return self._write_base(rebuilt, topic) if new_epoch else self._write_stream(rebuilt, topic)

    def _write_stream(self, rebuilt: Rebuilt, topic: TopicIdentity) -> tuple[int, int, dict[int, int]]:
        # What the changelogs have said need not be said again.
        again = rebuilt.name != ChangelogCut.name
        customers = sum(self._write_block(block, again) for block in rebuilt.customers())
        items = self._write_items(rebuilt.parts(), again)
        positions, base = self._place(rebuilt)
        self._say(topic, positions, base)
        return customers, items, positions

    def _write_base(self, rebuilt: Rebuilt, topic: TopicIdentity) -> tuple[int, int, dict[int, int]]:
        stores = self._stores
        blocks = [block.as_base() for block in rebuilt.customers()]
        parts = merged(rebuilt.parts())
        stale = read_keys(stores.topics, stores.kafka)
        # Until the end the changelogs are of two epochs: nothing must be rebuilt from them.
        for partition in stale.partitions:
            self._changelog.no_position(partition)
        stores.sender.flush(120.0)
        customers = sum(self._write_block(block, True) for block in blocks)
        items = self._write_items(parts, True)
        known = {customer for block in blocks for customer in block.customer_ids}
        self._changelog.forget_customers(sorted(stale.customers - known))
        self._changelog.forget_items([key for key in stale.parts if not key.startswith(f"{BACKFILL}:".encode())])
        stores.sender.flush(120.0)
        events = relabelled(without_erased(offline.interactions(stores.offline), self._ledger()))
        begin_epoch(stores.offline, events, topic)
        positions, _ = ends(stores)
        stream = {str(partition): at for partition, at in positions.items()}
        self._say(topic, positions, Backfilled(time.time_ns() // 1000, events.num_rows, "the topic before", stream))
        return customers, items, positions

    def _write_block(self, block: Block, again: bool) -> int:
        self._customers.write(block.customer_ids, block.states, block.rows, block.arrived, replace_same=True)
        if again:
            self._changelog.customers(block.customer_ids, block.rows)
        return len(block.customer_ids)

    def _write_items(self, parts: Mapping[str, Parts], again: bool) -> int:
        ids = sorted({item for each in parts.values() for item in each.item_ids})
        remember_all(self._stores.client, self._catalogue, ids)
        for source, each in parts.items():
            for rows in _slices(len(each.item_ids)):
                some, states, versions = each.item_ids[rows], each.states[rows], each.versions[rows]
                self._partials.write(source, some, states, versions)
                if again:
                    for item, state, version in zip(some, states, versions.tolist(), strict=True):
                        self._changelog.items(source, version, [(item, state.tobytes())])
        for rows in _slices(len(ids)):
            self._add_up(ids[rows])
            self._report(Progress("items", rows.stop, len(ids)))
        return len(ids)

    def _add_up(self, item_ids: Sequence[str]) -> None:
        """Write the totals of items whose parts are all there."""
        found = self._partials.read(item_ids)
        self._stores.store.write_rows(
            self._item_layout,
            item_ids,
            total_columns(total(found.states, found.offsets)),
            np.full(len(item_ids), time.time_ns() // 1000, dtype=np.int64),
            found.total_versions(),
            version_field=VERSION,
            replace_same=True,
        )

    def _place(self, rebuilt: Rebuilt) -> tuple[dict[int, int], Backfilled | None]:
        """Return where the stream goes on, and the record of the base under it."""
        low, _ = ends(self._stores)
        base = rebuilt.backfilled or base_of(self._stores.offline, low)
        first = {partition: (base.stream if base else {}).get(str(partition), at) for partition, at in low.items()}
        return {partition: rebuilt.positions.get(partition, at) for partition, at in first.items()}, base

    def _say(self, topic: TopicIdentity, positions: Mapping[int, int], base: Backfilled | None) -> None:
        """Leave word in the changelogs, the offline store and Redis of what the stores hold now."""
        stores = self._stores
        record = None if base is None else msgspec.json.encode(base)
        stores.sender.flush(120.0)
        self._changelog.backfilled(record)
        for partition, at in positions.items():
            self._changelog.position(partition, at, topic)
        stores.sender.flush(120.0)
        topic_identity.note_in_offline_store(stores.offline, topic)
        if record is not None:
            send(stores.client, [(b"SET", BACKFILL_KEY, record)])

    def _ledger(self) -> Ledger:
        return read_ledger(self._stores.topics, self._stores.kafka)

    def _finish(self, topic: TopicIdentity, positions: Mapping[int, int]) -> None:
        fence = time.time_ns() // 1_000  # higher than that of any worker that still believes to hold a partition
        send(
            self._stores.client,
            [(b"HSET", b"hw:stream:%d" % each, b"fence", fence, *_fields(at)) for each, at in positions.items()],
        )
        topic_identity.note_in_redis(self._stores.client, topic)
        mark_finished(self._stores.client)
        self._report(Progress("done", 1, 1))


def _fields(at: int) -> tuple[bytes | int, ...]:
    return b"position", at, b"items", at, b"last", at, b"next", at


def _slices(n: int) -> Iterator[slice]:
    return (slice(first, min(first + _ITEMS_AT_ONCE, n)) for first in range(0, n, _ITEMS_AT_ONCE))
