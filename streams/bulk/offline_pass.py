"""The state as one pass over the offline store gives it.

The offline store has every accepted event before its position of each partition once, and its kernels are the
stream's. So folding it gives, exactly, the state at that position; the stream goes on there. Only a customer's own
position may be lower than it was, by events that were not accepted: those change nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.customer_state import NOTHING_READ, CustomerStates
from feature_repo.events import Outcome
from feature_repo.fold import fold
from feature_repo.items_state import ItemDeltas, ItemStates, apply_deltas, empty_items
from feature_repo.keys import item_keys
from streams import offline
from streams.bulk.history import History, blocks, history
from streams.bulk.rebuilt import BASE, Block, CantRebuildError, Parts
from streams.contracts.partitioner import partition_of
from streams.erasure import erasures
from streams.erasure.erasures import Ledger
from streams.ingest.item_writer import BACKFILL
from streams.ingest.start import Backfilled


class OfflinePass:
    """See the module's head. Satisfies `Rebuilt`.

    Parameters
    ----------
    path: of the offline store.
    ledger: whom to leave out.
    partitions: of interactions.
    as_base: take everything for the base of a stream that has not begun.
    unread: more events, of which some may be in the store already.
    report: told how many events are folded and of how many.

    Raises
    ------
    CantRebuildError: the store is empty.
    """

    name = "offline store"

    def __init__(
        self,
        path: Path,
        ledger: Ledger,
        partitions: int,
        as_base: bool = False,
        unread: pa.Table | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._partitions = partitions
        self._report = report
        stored = offline.positions(path)
        if not stored and not unread:
            raise CantRebuildError(f"the offline store {path} is empty")
        table = pa.concat_tables([offline.interactions(path), *([] if unread is None else [unread])])
        table = erasures.without_erased(table, ledger)
        self._table = relabelled(table) if as_base else table
        self._as_base = as_base
        self._accepted = np.zeros(table.num_rows, dtype=np.bool_)
        # What was read in bulk is of no partition; where there is a base, the stream's beginning comes with its record.
        self.positions = {} if as_base else {p: at for p, at in stored.items() if p != offline.BACKFILL}
        self.backfilled: Backfilled | None = None
        self._parts: dict[str, ItemStates] = {}
        self._touched: dict[str, npt.NDArray[np.bool_]] = {}
        self._keys: npt.NDArray[np.uint64] = np.zeros(0, dtype=np.uint64)
        self._ids: list[str] = []

    def customers(self) -> Iterator[Block]:
        """Fold the events, some customers at a time."""
        found = history(self._table)
        streamed = self._table["partition"].to_numpy()[found.order] != offline.BACKFILL
        base = _by_arrival(found) if self._as_base else found.events.offset
        offset = np.where(streamed, self._table["offset"].to_numpy()[found.order], base)
        found = replace(found, events=replace(found.events, offset=offset))
        self._name_items(found)
        for first, end in blocks(found.offsets):
            yield self._block(found, streamed, first, end)
            self._report(int(found.offsets[end]), len(streamed))

    def base(self) -> pa.Table:
        """Return the events of the base, each once, as the offline store is to have them."""
        return relabelled(self._table.filter(pa.array(self._accepted)))

    def parts(self) -> dict[str, Parts]:
        """Return what the customers' events gave the items."""
        found = {}
        for source, states in self._parts.items():
            rows = np.flatnonzero(self._touched[source])
            version = 0 if source == BACKFILL else self.positions.get(int(source), 0)
            ids = [self._ids[row] for row in rows.tolist()]
            found[source] = Parts(ids, states[rows], np.full(len(rows), version, dtype=np.int64))
        return found

    def _name_items(self, found: History) -> None:
        keys = item_keys(found.item_ids) if found.item_ids else np.zeros(0, dtype=np.uint64)
        order = np.argsort(keys)
        self._keys, self._ids = keys[order], [found.item_ids[at] for at in order.tolist()]

    def _block(self, found: History, streamed: npt.NDArray[np.bool_], first: int, end: int) -> Block:
        ids = found.customer_ids[first:end]
        homes = np.array([partition_of(name.encode(), self._partitions) for name in ids], dtype=np.int64)
        rows = np.arange(found.offsets[first], found.offsets[end])
        # Within a customer by time; the kernels want the order of offsets.
        rows = rows[np.lexsort((found.events.offset[rows], found.events.customer[rows]))]
        events, live = found.events.take(rows), streamed[rows]
        events = replace(events, customer=events.customer - first)
        folded = fold(CustomerStates.empty(end - first), events.take(~live))
        self._accepted[found.order[rows[~live]]] = folded.outcome == Outcome.APPLIED
        read = folded.states.position != NOTHING_READ
        states = replace(folded.states, position=np.where(read, BASE, NOTHING_READ))
        self._add(BACKFILL, folded.deltas)
        for partition in np.unique(homes[events.customer[live]]).tolist():
            folded = fold(states, events.take(live & (homes[events.customer] == partition)))
            states = folded.states
            self._add(str(partition), folded.deltas)
        arrived = np.zeros(end - first, dtype=np.int64)
        np.maximum.at(arrived, events.customer, events.arrival)
        return Block(ids, states, states.rows(), arrived)

    def _add(self, source: str, deltas: ItemDeltas) -> None:
        if len(deltas.items) == 0:
            return
        if source not in self._parts:
            self._parts[source] = empty_items(len(self._ids))
            self._touched[source] = np.zeros(len(self._ids), dtype=np.bool_)
        rows = np.searchsorted(self._keys, deltas.items)
        self._parts[source][rows] = apply_deltas(self._parts[source][rows], deltas)
        self._touched[source][rows] = True


def _by_arrival(found: History) -> npt.NDArray[np.int64]:
    """Return numbers below zero in the order of arrival: of two events with one id the first to come counts."""
    n = len(found.order)
    offset = np.empty(n, dtype=np.int64)
    offset[np.lexsort((found.order, found.events.arrival))] = np.arange(n) - n
    return offset


def relabelled(table: pa.Table) -> pa.Table:
    """Return events as those of a base: of no partition, numbered from 0 in the order of partition and offset."""
    order = np.lexsort((table["offset"].to_numpy(), table["partition"].to_numpy()))
    table, n = table.take(pa.array(order)), table.num_rows
    for name, values in (("partition", np.full(n, offline.BACKFILL, np.int32)), ("offset", np.arange(n))):
        at = offline.SCHEMA.get_field_index(name)
        table = table.set_column(at, offline.SCHEMA.field(at), pa.array(values))
    return table


def base_of(path: Path, low: Mapping[int, int]) -> Backfilled | None:
    """Return what the offline store tells of a backfill whose record is lost."""
    found = offline.commits(path)
    rows = sum(each.rows for each in found if each.partition == offline.BACKFILL)
    if offline.BACKFILL not in {each.partition for each in found}:
        return None
    begins = dict(low)
    for each in found:
        if each.partition != offline.BACKFILL:
            begins[each.partition] = min(each.start, begins.get(each.partition, each.start))
    until = max(each.newest_arrival for each in found if each.partition == offline.BACKFILL) + 1
    return Backfilled(until, rows, "the offline store", {str(partition): at for partition, at in begins.items()})
