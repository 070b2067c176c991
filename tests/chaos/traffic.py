"""What is published: a synthetic shop's interactions with all the faults there are, and changes to its records."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from streams.contracts.codec import encode
from streams.contracts.events import Customer, Interaction, InteractionType, Item
from streams.contracts.operations import Reason
from streams.contracts.partitioner import partition_of
from streams.sources.malformed import malformed_records
from streams.sources.source import events
from streams.sources.synthetic import Options, Synthetic
from tests.chaos.plan import Size

DUPLICATES, LATE, MALFORMED = 0.02, 0.02, 0.01
_HOUR_MS = 3_600_000
_DAYS = 45.0
_EACH_ERASED = 90


@dataclass(frozen=True)
class Sent:
    """One record as it is handed to the producer.

    Attributes
    ----------
    event: what the record says; None if it is malformed.
    reason: why it must become a dead letter; None if it is valid.
    partition: where it must go regardless of its key.
    """

    key: bytes
    value: bytes
    event: Interaction | None = None
    reason: Reason | None = None
    partition: int | None = None


@dataclass
class Traffic:
    """All that will be published, in order.

    Attributes
    ----------
    records: interactions.
    items, customers: published before the first interaction.
    item_changes, customer_changes: published meanwhile, evenly spread; an id's last record counts.
    gone: customers who are erased meanwhile, whatever comes of them before and afterwards.
    late: how many of the interactions are late.
    """

    records: list[Sent]
    items: list[Item]
    customers: list[Customer]
    item_changes: list[Item]
    customer_changes: list[Customer]
    gone: list[str]
    late: int

    @property
    def last_items(self) -> list[Item]:
        """The catalogue as it must be in the end, in the order of its first records."""
        return list({item.item_id: item for item in (*self.items, *self.item_changes)}.values())

    @property
    def last_customers(self) -> list[Customer]:
        """The customers as they must be in the end."""
        last = {each.customer_id: each for each in (*self.customers, *self.customer_changes)}
        return [each for name, each in last.items() if name not in self.gone]


def made(size: Size, seed: int, partitions: int) -> Traffic:
    """Make a shop and its traffic; events lie in the weeks before now."""
    rng = random.Random(seed)
    end = time.time_ns() // 1000
    shop = Synthetic(
        Options(events=size.events, customers=size.customers, items=size.items, days=_DAYS, end=end, seed=seed)
    )
    valid = [event for chunk in shop.chunks() for event in events(chunk)]
    late = 0
    for event in valid:
        if rng.random() < LATE:
            event.timestamp = event.time // 1000 - rng.randint(_HOUR_MS, 5 * 24 * _HOUR_MS)
            late += 1
    items, customers = list(shop.items()), list(shop.customers())
    gone = [f"gone-{seed}-{at}" for at in range(size.erasures)]
    popular = [item for item, _ in Counter(event.item_id for event in valid).most_common(10)]
    old = end // 1000 - int(_DAYS) * 24 * _HOUR_MS
    valid += [_of_erased(name, at, old, popular, rng) for name in gone for at in range(_EACH_ERASED)]
    records = _disordered([_sent(event) for event in valid], list(_malformed(size, seed, partitions, end)), rng)
    return Traffic(
        records,
        items,
        [*customers, *(Customer(customer_id=name, attributes={"segment": "gone"}) for name in gone)],
        [_changed_item(rng.choice(items), rng) for _ in range(size.items)],
        [_changed_customer(rng.choice(customers), rng) for _ in range(size.customers // 2)],
        gone,
        late,
    )


def _sent(event: Interaction) -> Sent:
    return Sent(event.customer_id.encode(), encode(event), event)


def _of_erased(name: str, at: int, old: int, popular: list[str], rng: random.Random) -> Interaction:
    """Something long ago: an item keeps its newest day, so others must have bought it since."""
    kind = rng.choice((InteractionType.PURCHASE, InteractionType.PURCHASE, InteractionType.VIEW))
    return Interaction(
        event_id=f"{name}-{at}",
        customer_id=name,
        item_id=rng.choice(popular),
        type=kind,
        timestamp=old + rng.randrange(24 * _HOUR_MS),
        quantity=rng.randint(1, 4),
        price=round(rng.uniform(1, 20), 2),
    )


def _disordered(valid: list[Sent], malformed: list[Sent], rng: random.Random) -> list[Sent]:
    """Put duplicates after their originals, half of them soon, half whenever; bad records anywhere."""
    n = len(valid)
    at: list[float] = np.arange(n, dtype=np.float64).tolist()
    erased = n - 1
    while erased >= 0 and valid[erased].key.startswith(b"gone-"):  # they come last: spread them over all
        at[erased] = rng.uniform(0, n)
        erased -= 1
    records = list(valid)
    for place in rng.sample(range(n), int(n * DUPLICATES)):
        records.append(valid[place])
        at.append(rng.uniform(at[place], n) if rng.random() < 0.5 else at[place] + rng.uniform(0, 300))
    records += malformed
    at += [rng.uniform(0, n) for _ in malformed]
    return [records[i] for i in np.argsort(np.array(at), kind="stable").tolist()]


def _malformed(size: Size, seed: int, partitions: int, now: int) -> Iterator[Sent]:
    """Every kind of bad record, in turn."""
    rng = random.Random(seed + 1)
    count = int(size.events * MALFORMED)
    usual = malformed_records(count, now, seed)
    for index in range(count):
        if rng.random() < 0.6:
            bad = next(usual)
            yield Sent(bad.key, bad.value, reason=bad.reason)
        else:
            yield _unusual(index, seed, partitions, now, rng)


def _unusual(index: int, seed: int, partitions: int, now: int, rng: random.Random) -> Sent:
    """What `malformed_records` has not: keys, partitions, ratings, quantities, nothing at all."""
    name = f"odd-{seed}-{index}"
    event = {
        "event_id": name, "customer_id": name, "item_id": "i1", "type": "view", "timestamp": now // 1000,
    }  # fmt: skip
    key, wrong = name.encode(), (partition_of(name.encode(), partitions) + 1) % partitions
    return rng.choice(
        [
            Sent(key, b"", reason=Reason.EMPTY),
            Sent(b"someone else", encode(event), reason=Reason.KEY_MISMATCH),
            Sent(key, encode(event), reason=Reason.WRONG_PARTITION, partition=wrong),
            Sent(key, encode({**event, "timestamp": "yesterday"}), reason=Reason.BAD_TIMESTAMP),
            Sent(key, encode({**event, "type": "rating", "rating": 1e6}), reason=Reason.ABSURD_RATING),
            Sent(key, encode({**event, "type": "rating"}), reason=Reason.MISSING_FIELD),
            Sent(key, encode({**event, "quantity": 10**7}), reason=Reason.ABSURD_QUANTITY),
            Sent(key, encode(event).replace(b'"view"', b'"view","quantity":1e400'), reason=Reason.ABSURD_QUANTITY),
            Sent(key, encode({**event, "quantity": 0}), reason=Reason.ABSURD_QUANTITY),
        ]
    )


def _changed_item(item: Item, rng: random.Random) -> Item:
    """What of an item may change without changing what was bought: its name, price and availability."""
    return Item(
        item_id=item.item_id,
        name=f"{item.name}, edition {rng.randint(2, 99)}",
        available=rng.random() < 0.9,
        price=round(rng.uniform(0.5, 99.0), 2),
        attributes=item.attributes,
    )


def _changed_customer(customer: Customer, rng: random.Random) -> Customer:
    return Customer(customer_id=customer.customer_id, attributes={"segment": f"segment-{rng.randint(0, 99)}"})
