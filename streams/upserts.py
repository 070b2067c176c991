"""Customers and items as the shop tells them: records into Redis, features into their Feast views.

Batches of raw records in, rows written, dead letters out. Everything carries its offset as a version, so a record
that comes again changes nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from feature_repo import fences
from feature_repo.online_store import CATALOGUE_VERSION, PROFILE_VERSION, OnlineStore
from feature_repo.record_store import Position, RecordStore
from feature_repo.shop import Shop
from feature_repo.views import CUSTOMER, CUSTOMER_PROFILE, ITEM_CATALOGUE, customer_profile, item_catalogue
from streams.catalogue_feed import catalogue_item
from streams.contracts.codec import Limits, decode_customer, decode_item, encode
from streams.contracts.events import Customer, Item
from streams.contracts.observability import STORE_ROWS
from streams.contracts.operations import DeadLetter, Reason
from streams.contracts.rejection import Rejected
from streams.dead_letters import letter


class Raw(NamedTuple):
    """One record as it was read; `timestamp` is Kafka's, in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None

    @property
    def position(self) -> Position:
        """Partition and offset."""
        return self.partition, self.offset

    def rejected(self, why: Rejected) -> DeadLetter:
        """Return the letter that says why the record can't be used."""
        return letter(self.topic, self.partition, self.offset, self.timestamp, self.key, self.value, why)


def _tombstone_id(record: Raw) -> str:
    """Return the id that a tombstone deletes.

    Raises
    ------
    Rejected: there is no usable key.
    """
    try:
        name = (record.key or b"").decode()
    except UnicodeDecodeError as error:
        raise Rejected(Reason.BAD_ID, f"the key {record.key!r} of a tombstone is not UTF-8") from error
    if not 1 <= len(name) <= 128:
        raise Rejected(Reason.BAD_ID, f"the key {name[:130]!r} of a tombstone must be 1 to 128 characters")
    return name


class Items:
    """Upserts and tombstones of the topic `items`."""

    def __init__(self, store: OnlineStore, shop: Shop) -> None:
        self._store = store
        self._records = RecordStore(store.client, "item")
        self._layout = item_catalogue(shop)
        self._shop = shop
        self._limits = Limits(currency_exponent=shop.currency_exponent)

    def apply(self, records: Iterable[Raw]) -> list[DeadLetter]:
        """Write what the records say; return letters for those that can't be used."""
        upserts: dict[str, tuple[Raw, Item]] = {}
        tombstones: dict[str, Raw] = {}
        letters = []
        for record in records:
            try:
                if record.value:
                    item = decode_item(record.value, self._limits, key=record.key)
                    tombstones.pop(item.item_id, None)
                    upserts[item.item_id] = (record, item)
                else:
                    name = _tombstone_id(record)
                    upserts.pop(name, None)
                    tombstones[name] = record
            except Rejected as why:
                letters.append(record.rejected(why))
        self._delete(tombstones)
        self._put(list(upserts.values()))
        return letters

    def _put(self, found: Sequence[tuple[Raw, Item]]) -> None:
        if not found:
            return
        records, items = [record for record, _ in found], [item for _, item in found]
        ids = [item.item_id for item in items]
        rows = [catalogue_item(item, self._shop.currency_exponent) for item in items]
        self._store.write_rows(
            self._layout,
            ids,
            {
                "name": [item.name for item in items],
                "available": [item.available for item in items],
                "price": [row.price for row in rows],
                **{name: [item.attributes.get(name, "") for item in items] for name in self._shop.item_attributes},
            },
            np.array([record.timestamp for record in records], dtype=np.int64) * 1000,
            [record.offset for record in records],
            version_field=CATALOGUE_VERSION,
        )
        self._records.put(ids, [encode(item) for item in items], [record.position for record in records])
        STORE_ROWS.labels(ITEM_CATALOGUE).inc(len(ids))

    def _delete(self, found: dict[str, Raw]) -> None:
        if not found:
            return
        ids, records = list(found), list(found.values())
        versions = [record.offset for record in records]
        self._store.delete_rows(self._layout, ids, versions, version_field=CATALOGUE_VERSION)
        self._records.delete(ids, [record.position for record in records])


class Customers:
    """Upserts and tombstones of the topic `customers`.

    Parameters
    ----------
    announce: asks for customers to be erased, each with its cause (see `Erasure`), among their interactions; once it
        returns that is certain.
    """

    def __init__(self, store: OnlineStore, shop: Shop, announce: Callable[[Mapping[str, str]], None]) -> None:
        self._announce = announce
        self._store = store
        self._records = RecordStore(store.client, "customer")
        self._layout = customer_profile(shop)
        self._shop = shop
        self._limits = Limits(currency_exponent=shop.currency_exponent)

    def apply(self, records: Iterable[Raw]) -> list[DeadLetter]:
        """Write what the records say; return letters for those that can't be used."""
        upserts: dict[str, tuple[Raw, Customer]] = {}
        tombstones: dict[str, Raw] = {}
        letters = []
        for record in records:
            try:
                if record.value:
                    customer = decode_customer(record.value, self._limits, key=record.key)
                    upserts[customer.customer_id] = (record, customer)
                else:
                    name = _tombstone_id(record)
                    upserts.pop(name, None)
                    tombstones[name] = record
            except Rejected as why:
                letters.append(record.rejected(why))
        self._delete(tombstones)
        self._put(list(upserts.values()))
        return letters

    def _put(self, found: Sequence[tuple[Raw, Customer]]) -> None:
        if not found:
            return
        records, customers = [record for record, _ in found], [customer for _, customer in found]
        ids = [customer.customer_id for customer in customers]
        if self._layout.features:
            attributes = self._shop.customer_attributes
            self._store.write_rows(
                self._layout,
                ids,
                {name: [customer.attributes.get(name, "") for customer in customers] for name in attributes},
                np.array([record.timestamp for record in records], dtype=np.int64) * 1000,
                [record.offset for record in records],
                version_field=PROFILE_VERSION,
            )
            fences.keep(self._store, CUSTOMER, ids)  # after the row: what of a tombstone is still to come spares it
            STORE_ROWS.labels(CUSTOMER_PROFILE).inc(len(ids))
        self._records.put(ids, [encode(each) for each in customers], [record.position for record in records])

    def _delete(self, found: dict[str, Raw]) -> None:
        """Remove profiles and have the rest erased in the order of the stream, unless that was done before."""
        if not found:
            return
        stored = self._records.positions(list(found))
        new = {
            name: record
            for (name, record), known in zip(found.items(), stored, strict=True)
            if known is None or known[0] != record.partition or known[1] < record.offset
        }
        if not new:
            return
        ids = list(new)
        if self._layout.features:
            versions = [record.offset for record in new.values()]
            self._store.delete_rows(self._layout, ids, versions, version_field=PROFILE_VERSION)
        self._announce({name: f"{r.partition}:{r.offset}:{r.timestamp}" for name, r in new.items()})
        self._records.delete(ids, [record.position for record in new.values()])
