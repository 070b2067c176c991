"""The ledger of erased customers: which of their events are gone for good, in the stream and in the offline store.

An erasure has a place in the stream (the offset of its record) and a time (the broker's, of that record). Gone is
what stood before it in the stream, and whatever comes later from wherever with an event time up to its time. The
ledger names nobody: it holds hashes of ids.

::

    <offline store>/erasures/<partition>-<first offset>-<last offset>.json

Needs only numpy, pyarrow and msgspec, because the trainer reads it too.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.contracts.operations import Erasure
from streams.files import publish

BACKFILL = -1
"""Partition of what was written in bulk: its offsets say nothing about the stream."""

COLUMNS = ("customer_id", "time", "arrival", "partition", "offset")
"""What must be known of an event to tell whether it is erased."""

Int64 = npt.NDArray[np.int64]


@lru_cache(maxsize=262_144)
def customer_hash(customer_id: str) -> str:
    """Return what stands for a customer in the ledger: BLAKE2b, 128 bits in hexadecimal digits."""
    return hashlib.blake2b(customer_id.encode(), digest_size=16, person=b"hw erasure").hexdigest()


def key_of(erasure: Erasure) -> bytes:
    """Return the key of an erasure's record: the same erasure announced twice is one record."""
    return f"{erasure.customer}:{erasure.partition}:{erasure.offset}".encode()


class Found(NamedTuple):
    """What a ledger says of some events.

    Attributes
    ----------
    erased: ``bool[e]``, gone for good.
    late: ``bool[e]``, of these the ones that came after the erasure: they were never applied.
    """

    erased: npt.NDArray[np.bool_]
    late: npt.NDArray[np.bool_]


class Ledger:
    """Erasures by customer."""

    def __init__(self, erasures: Iterable[Erasure] = ()) -> None:
        self._of: dict[str, set[Erasure]] = {}
        self.add(erasures)

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(self, erasures: Iterable[Erasure]) -> None:
        """Enter erasures; one that is there already changes nothing."""
        for erasure in erasures:
            self._of.setdefault(erasure.customer, set()).add(erasure)

    def of(self, customer_id: str) -> list[Erasure]:
        """Return a customer's erasures in the order of time."""
        return sorted(self._of.get(customer_hash(customer_id), ()), key=lambda each: (each.erased_at, each.offset))

    def reach(self) -> dict[str, int]:
        """Return for each partition (as a string) the offset before which all of its erasures are."""
        found: dict[str, int] = {}
        for erasure in (each for some in self._of.values() for each in some):
            name = str(erasure.partition)
            found[name] = max(found.get(name, 0), erasure.offset + 1)
        return found

    def repeats(self, erasure: Erasure) -> bool:
        """Tell whether an erasure has been asked for by the same tombstone at another place in the stream."""
        return bool(erasure.cause) and any(
            each.cause == erasure.cause and (each.partition, each.offset) != (erasure.partition, erasure.offset)
            for each in self._of.get(erasure.customer, ())
        )

    def look_up(
        self, customer_ids: Sequence[str], customer: Int64, time: Int64, arrival: Int64, offset: Int64, streamed: bool
    ) -> Found | None:
        """Tell which events are erased, None if none of the customers ever was.

        Parameters
        ----------
        customer: ``int64[e]``, each event's place in `customer_ids`.
        time, arrival: ``int64[e]``, microseconds since the epoch.
        offset: ``int64[e]``.
        streamed: the events are of the customers' partition of the stream, else of a backfill.
        """
        known = [at for at, name in enumerate(customer_ids) if customer_hash(name) in self._of] if self._of else []
        if not known:
            return None
        found = Found(np.zeros(len(customer), dtype=np.bool_), np.zeros(len(customer), dtype=np.bool_))
        for at in known:
            rows = np.flatnonzero(customer == at)
            for erasure in self.of(customer_ids[at]):
                erased_at = erasure.erased_at * 1000
                # The broker's clock tells offsets of this topic from those of an earlier one of the same name.
                before = streamed & (offset[rows] < erasure.offset) & (arrival[rows] <= erased_at)
                old = time[rows] <= erased_at
                found.erased[rows] |= before | old
                found.late[rows] |= ~before & old
        return found


def without_erased(table: pa.Table, ledger: Ledger) -> pa.Table:
    """Return the rows of customers' events that are not erased.

    Parameters
    ----------
    table: of the offline store, with at least `COLUMNS`.
    """
    if not ledger or table.num_rows == 0:
        return table
    customers = table["customer_id"].combine_chunks().dictionary_encode()
    names, customer = customers.dictionary.to_pylist(), customers.indices.to_numpy(zero_copy_only=False)
    time, arrival, offset = (table[name].to_numpy() for name in ("time", "arrival", "offset"))
    streamed = table["partition"].to_numpy() != BACKFILL
    erased = np.zeros(table.num_rows, dtype=np.bool_)
    for rows, in_stream in ((np.flatnonzero(streamed), True), (np.flatnonzero(~streamed), False)):
        found = ledger.look_up(names, customer[rows], time[rows], arrival[rows], offset[rows], in_stream)
        if found is not None:
            erased[rows] = found.erased
    return table.filter(pa.array(~erased)) if erased.any() else table


def write(store: Path, erasures: Sequence[Erasure]) -> None:
    """Enter erasures of one partition, in the order of offsets, into the offline store's ledger."""
    if erasures:
        first, last = erasures[0], erasures[-1]
        name = f"{first.partition}-{first.offset}-{last.offset}.json"
        publish(store / "erasures" / name, msgspec.json.encode(erasures))


def read(store: Path) -> Ledger:
    """Return the offline store's ledger.

    Raises
    ------
    ValueError
        When a file of it can't be read; names the file.
    """
    ledger = Ledger()
    for file in (store / "erasures").glob("*.json"):
        if file.name.startswith("."):
            continue
        try:
            ledger.add(msgspec.json.decode(file.read_bytes(), type=list[Erasure]))
        except msgspec.MsgspecError as error:
            raise ValueError(f"{file} is no file of the ledger of erasures: {error}") from error
    return ledger
