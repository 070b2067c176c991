"""Raw Kafka records of one partition become columns; what can't be used becomes dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from feature_repo.customer_state import EventType
from feature_repo.events import Events
from feature_repo.keys import event_keys, item_keys
from streams.contracts.codec import Limits, decode_interaction
from streams.contracts.codec import line_amount as amount_of
from streams.contracts.events import Interaction, InteractionType
from streams.contracts.operations import Erasure, Reason
from streams.contracts.partitioner import partition_of
from streams.contracts.rejection import Rejected
from streams.erasure.erasures import Ledger, customer_hash

_CODES = {kind: int(EventType[kind.name]) for kind in InteractionType}


@dataclass(frozen=True)
class Records:
    """What was read of one partition: the offsets `[start, stop)`, of which some may not exist any more.

    Attributes
    ----------
    values, keys: raw bytes, None where a record has none.
    offsets: ascending.
    arrivals: Kafka's timestamps, milliseconds since the epoch.
    erasures: by offset the causes of the records that are no events but ask for their customer to be erased.
    """

    partition: int
    start: int
    stop: int
    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    offsets: Sequence[int]
    arrivals: Sequence[int]
    erasures: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets)

    def parts(self, *bounds: int) -> list["Records"]:
        """Cut before the given offsets, and so that every part has nothing but erasures, or none."""
        seams = set(self.erasures) ^ {each + 1 for each in self.erasures}
        cuts = sorted(each for each in {*bounds, *seams} if self.start < each < self.stop)
        return [self._between(start, stop) for start, stop in pairwise((self.start, *cuts, self.stop))]

    def _between(self, start: int, stop: int) -> "Records":
        if (start, stop) == (self.start, self.stop):
            return self
        first, end = np.searchsorted(np.asarray(self.offsets), (start, stop)).tolist()
        return Records(
            self.partition, start, stop,
            self.values[first:end], self.keys[first:end], self.offsets[first:end], self.arrivals[first:end],
            {at: cause for at, cause in self.erasures.items() if start <= at < stop},
        )  # fmt: skip


@dataclass(frozen=True)
class Rejection:
    """A record that can't be used: its place among the records read, and why."""

    at: int
    why: Rejected


@dataclass(frozen=True)
class Batch:
    """The valid events of some records, as columns.

    Attributes
    ----------
    customer_ids: distinct, in the order of first sight; `events.customer` points into them.
    interactions: the `e` messages that the columns were made of.
    events: `e` events in the order of offsets.
    rejected: what goes to the dead letters.
    """

    records: Records
    customer_ids: list[str]
    interactions: list[Interaction]
    events: Events
    rejected: list[Rejection]

    def __len__(self) -> int:
        return len(self.interactions)


@dataclass(frozen=True)
class Erasures:
    """The erasures of some records that are nothing else.

    Attributes
    ----------
    customer_ids: of the entries.
    entries: in the order of offsets; a customer may have more than one.
    rejected: what goes to the dead letters.
    """

    records: Records
    customer_ids: list[str]
    entries: list[Erasure]
    rejected: list[Rejection]

    def last(self) -> dict[str, int]:
        """Return the customers, each with the offset of its last erasure."""
        return {name: entry.offset for name, entry in zip(self.customer_ids, self.entries, strict=True)}


def decode_erasures(records: Records, partitions: int, ledger: Ledger) -> Erasures:
    """Decode and check records that ask for their customers to be erased, without what was asked for before.

    Parameters
    ----------
    partitions: see `decode`.
    ledger: what has been erased.
    """
    found = Erasures(records, [], [], [])
    new = Ledger()
    for at, (key, offset, arrival) in enumerate(zip(records.keys, records.offsets, records.arrivals, strict=True)):
        try:
            name = _named(key)
            home = _home(name, partitions)
            if home != records.partition:
                raise _misplaced(f"the erasure of customer {name!r}", records.partition, home)
        except Rejected as why:
            found.rejected.append(Rejection(at, why))
            continue
        entry = Erasure(
            customer=customer_hash(name), erased_at=arrival, partition=records.partition, offset=offset,
            cause=records.erasures[offset],
        )  # fmt: skip
        if not (ledger.repeats(entry) or new.repeats(entry)):
            new.add([entry])
            found.customer_ids.append(name)
            found.entries.append(entry)
    return found


def _named(key: bytes | None) -> str:
    """Return the customer whom an erasure names."""
    try:
        name = (key or b"").decode()
    except UnicodeDecodeError as error:
        raise Rejected(Reason.BAD_ID, f"the key {key!r} of an erasure is not UTF-8") from error
    if not (1 <= len(name) <= 128 and name.isprintable()):
        raise Rejected(Reason.BAD_ID, f"the key {name[:130]!r} of an erasure must be 1 to 128 printable characters")
    return name


def without(batch: Batch, left_out: npt.NDArray[np.bool_]) -> Batch:
    """Return the batch without some of its events, ``left_out: bool[e]``, and without customers who had no others."""
    stay = np.flatnonzero(~left_out)
    events = batch.events.take(stay)
    present, customer = np.unique(events.customer, return_inverse=True)
    return replace(
        batch,
        customer_ids=[batch.customer_ids[at] for at in present.tolist()],
        interactions=[batch.interactions[at] for at in stay.tolist()],
        events=replace(events, customer=customer.astype(np.int64)),
    )


def decode(records: Records, partitions: int, limits: Limits) -> Batch:
    """Decode and check records.

    Parameters
    ----------
    partitions: how many the topic has; a customer's events must be on the partition of its key, because
        positions are kept for one partition a customer.
    limits: what is believed.
    """
    rows: dict[str, int] = {}
    kept: list[int] = []
    interactions: list[Interaction] = []
    customers: list[int] = []
    rejected: list[Rejection] = []
    for at, (value, key, arrival) in enumerate(zip(records.values, records.keys, records.arrivals, strict=True)):
        try:
            event = decode_interaction(value, arrival * 1000, limits, key=key)
            row = rows.get(event.customer_id)
            if row is None:
                _check_partition(event, records.partition, partitions)
                row = rows[event.customer_id] = len(rows)
        except Rejected as why:
            rejected.append(Rejection(at, why))
            continue
        kept.append(at)
        interactions.append(event)
        customers.append(row)
    events = columns(interactions, customers, records, kept, limits.currency_exponent)
    return Batch(records, list(rows), interactions, events, rejected)


@lru_cache(maxsize=262_144)
def _home(customer_id: str, partitions: int) -> int:
    return partition_of(customer_id.encode(), partitions)


def _check_partition(event: Interaction, partition: int, partitions: int) -> None:
    home = _home(event.customer_id, partitions)
    if home != partition:
        raise _misplaced(f"event {event.event_id!r} of customer {event.customer_id!r}", partition, home)


def _misplaced(what: str, partition: int, home: int) -> Rejected:
    return Rejected(
        Reason.WRONG_PARTITION,
        f"{what} is on partition {partition}, not {home}; "
        f"key records by customer_id and set the producer's partitioner to murmur2_random",
    )


def columns(
    interactions: Sequence[Interaction],
    customers: Sequence[int],
    records: Records,
    kept: Sequence[int],
    exponent: int,
) -> Events:
    """Return the messages' columns.

    Parameters
    ----------
    customers: row of each message's customer.
    kept: place of each message among the records.
    exponent: decimal digits of the currency's minor unit.
    """
    n = len(interactions)
    at = np.array(kept, dtype=np.int64)
    quantity = np.fromiter((each.quantity for each in interactions), dtype=np.int32, count=n)
    rating = [each.rating for each in interactions]
    return Events(
        customer=np.array(customers, dtype=np.int64),
        item=item_keys([each.item_id for each in interactions]),
        event=event_keys([each.event_id for each in interactions]),
        type=np.fromiter((_CODES[each.type] for each in interactions), dtype=np.int8, count=n),
        time=np.fromiter((each.time for each in interactions), dtype=np.int64, count=n),
        quantity=quantity,
        amount=np.fromiter(
            (amount_of(each.price, each.quantity, exponent) for each in interactions), dtype=np.int32, count=n
        ),
        weight=_weights(rating, quantity),
        arrival=np.asarray(records.arrivals, dtype=np.int64)[at] * 1000,
        offset=np.asarray(records.offsets, dtype=np.int64)[at],
    )


def _weights(rating: Sequence[float | None], quantity: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """A rating's value where there is one, else the units."""
    given = np.array([np.nan if value is None else value for value in rating], dtype=np.float32)
    return np.where(np.isnan(given), quantity, given).astype(np.float32)
