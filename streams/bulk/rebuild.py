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
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from feature_repo.catalogue import Catalogue
from feature_repo.redis_commands import send
from feature_repo.shop import Shop
from streams import offline, topic_identity
from streams.bulk.backfill import Progress, Stores, confirm_topic, ends, raise_fences
from streams.bulk.changelog_cut import ChangelogCut
from streams.bulk.changelog_keys import read_keys
from streams.bulk.offline_epoch import begin_epoch, put_in_place
from streams.bulk.offline_pass import OfflinePass, base_of, relabelled
from streams.bulk.rebuild_rows import Rows
from streams.bulk.rebuilt import CantRebuildError, Rebuilt, merged
from streams.bulk.tail import take_unread
from streams.bulk.wipe import wipe
from streams.contracts.observability import logger
from streams.erasure.erasures import Ledger, without_erased
from streams.erasure.topics import read_ledger
from streams.ingest.changelog import Changelog
from streams.ingest.item_writer import BACKFILL
from streams.ingest.start import BACKFILL_KEY, Backfilled
from streams.lease import Lease, mark_finished, mark_unfinished
from streams.topic_identity import TopicIdentity

log = logger(__name__)

COMMAND = "headwater rebuild-online"

SOURCES = ("auto", "changelog", "offline")


@dataclass(frozen=True)
class Summary:
    """What a rebuild did.

    Attributes
    ----------
    source: what it was done from.
    refused: why what was to be preferred was not taken, None if it was.
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
        self._shop = shop
        self._unread_until: dict[int, int] = {}
        self._upserts = upserts
        self._report = report
        self._changelog = Changelog(stores.sender, stores.topics)
        self._rows = Rows(stores, shop, catalogue, self._changelog, report)
        self._wiped = False

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
        with Lease(self._stores.client, COMMAND) as lease:
            topic = self._topic(new_epoch)
            mark_unfinished(self._stores.client, COMMAND)
            raise_fences(self._stores)
            time.sleep(1.0)  # for a batch that was on its way
            try:
                found, refused, (customers, items, positions) = self._first(source, topic, new_epoch)
            except CantRebuildError:
                if not self._wiped:
                    mark_finished(self._stores.client)
                raise
            records = self._upserts()
            lease.check()
            self._finish(topic, positions)
        seconds = time.monotonic() - began
        return Summary(found, refused, customers, items, records, positions, topic.epoch, seconds)

    def _first(
        self, source: str, topic: TopicIdentity, new_epoch: bool
    ) -> tuple[str, str | None, tuple[int, int, dict[int, int]]]:
        """Rebuild from the first source that can serve; return its name, and why the one before it could not."""
        refused = None
        for make in self._sources(source, topic, new_epoch):
            try:
                rebuilt = make()
                return rebuilt.name, refused, self._write(rebuilt, topic, new_epoch)
            except CantRebuildError as error:
                refused = str(error)
                log.warning("can't rebuild from there", why=refused)
        raise CantRebuildError(refused or "there is nothing to rebuild from")

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

    def _sources(self, source: str, topic: TopicIdentity, new_epoch: bool) -> list[Callable[[], Rebuilt]]:
        """Return what can be tried, the better first: of a new epoch's base training sees the events, too."""
        found: dict[str, Callable[[], Rebuilt]] = {
            "changelog": lambda: self._from_changelog(topic, new_epoch),
            "offline": lambda: self._from_offline(topic, new_epoch),
        }
        if source != "auto":
            return [found[source]]
        return [found[name] for name in sorted(found, reverse=new_epoch)]

    def _unread(self, topic: TopicIdentity) -> pa.Table | None:
        """Return what a topic that was repartitioned held unread."""
        stores, known = self._stores, topic_identity.in_offline_store(self._stores.offline)
        if known is None or not known.repartitioned(topic):
            return None
        unread, self._unread_until = take_unread(
            stores, self._shop, (known.partitions, topic.partitions), self._ledger()
        )
        return unread

    def _from_changelog(self, topic: TopicIdentity, new_epoch: bool) -> Rebuilt:
        known = topic_identity.in_offline_store(self._stores.offline)
        if new_epoch and known is not None and known.repartitioned(topic):
            raise CantRebuildError("after a change of the number of partitions the base is made from the offline store")
        return ChangelogCut(
            self._stores.topics, self._stores.kafka, topic, new_epoch,
            lambda done, total: self._report(Progress("changelogs", done, total)),
        )  # fmt: skip

    def _from_offline(self, topic: TopicIdentity, new_epoch: bool) -> Rebuilt:
        stores = self._stores
        self._report(Progress("reading", 0, 1))
        unread = None
        if new_epoch:
            put_in_place(stores.offline)
            unread = self._unread(topic)
        found = OfflinePass(
            stores.offline, self._ledger(), topic.partitions, new_epoch, unread,
            lambda done, total: self._report(Progress("events", done, total)),
        )  # fmt: skip
        self._report(Progress("reading", 1, 1))
        return found

    def _write(self, rebuilt: Rebuilt, topic: TopicIdentity, new_epoch: bool) -> tuple[int, int, dict[int, int]]:
        """Write customers and items; return how many, and where the stream goes on."""
        self._wiped = True
        wipe(self._stores)
        return self._write_base(rebuilt, topic) if new_epoch else self._write_stream(rebuilt, topic)

    def _write_stream(self, rebuilt: Rebuilt, topic: TopicIdentity) -> tuple[int, int, dict[int, int]]:
        # What the changelogs have said need not be said again.
        again = rebuilt.name != ChangelogCut.name
        customers = sum(self._rows.customers(block, again) for block in rebuilt.customers())
        items = self._rows.items(rebuilt.parts(), again)
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
        customers = sum(self._rows.customers(block, True) for block in blocks)
        items = self._rows.items(parts, True)
        known = {customer for block in blocks for customer in block.customer_ids}
        self._changelog.forget_customers(sorted(stale.customers - known))
        self._changelog.forget_items([key for key in stale.parts if not key.startswith(f"{BACKFILL}:".encode())])
        stores.sender.flush(120.0)
        if isinstance(rebuilt, OfflinePass):
            events = rebuilt.base()
        else:
            events = relabelled(without_erased(offline.interactions(stores.offline), self._ledger()))
        begin_epoch(stores.offline, events, topic)
        positions = self._unread_until or ends(stores)[0]
        stream = {str(partition): at for partition, at in positions.items()}
        self._say(topic, positions, Backfilled(time.time_ns() // 1000, events.num_rows, "the topic before", stream))
        return customers, items, positions

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
