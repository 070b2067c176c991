"""Forget what was learned from interactions: rows, items' parts, changelogs, offline files. Catalogue and customers'
records stay.
"""

import shutil
from collections.abc import Iterator
from itertools import islice

from feature_repo.entity_key import entity_value, feature_field, timestamp_field
from feature_repo.item_partials import STATE_FIELD, VERSION_FIELD
from feature_repo.online_store import POSITION, VERSION
from feature_repo.redis_commands import send
from feature_repo.shop import Shop
from feature_repo.views import CUSTOMER, ITEM, ViewLayout, customer_purchases, item_purchases
from streams import compaction
from streams.bulk.backfill import Stores
from streams.ingest.changelog import Changelog
from streams.ingest.customer_writer import EVICTED, IDS, SEALED
from streams.ingest.start import BACKFILL_KEY

_AT_ONCE = 1000


def reset(stores: Stores, shop: Shop) -> None:
    """Do it; workers must not be writing meanwhile."""
    customers = customer_purchases(shop)
    own = [name.encode() for name in (POSITION, IDS, SEALED, EVICTED)]
    changelog = Changelog(stores.sender, stores.topics)
    for keys in _batches(stores, customers):
        send(stores.client, [(b"HDEL", key, *_fields(customers), *own) for key in keys])
        changelog.forget_customers([entity_value(CUSTOMER.join_key, key) or "" for key in keys])
    items = item_purchases(shop)
    for keys in _batches(stores, items):
        _forget_items(stores, changelog, items, keys)
    changelog.backfilled(None)
    stores.sender.flush(120.0)
    send(stores.client, [(b"DEL", BACKFILL_KEY)])
    forget_offline(stores)


def forget_offline(stores: Stores) -> None:
    """Remove all events from the offline store; whom it knows to be erased stays erased."""
    with compaction.locked(stores.offline, wait=True):
        for name in ("commits", "interactions"):
            shutil.rmtree(stores.offline / name, ignore_errors=True)


def _forget_items(stores: Stores, changelog: Changelog, layout: ViewLayout, keys: list[bytes]) -> None:
    present = send(stores.client, [(b"HKEYS", key) for key in keys])
    prefixes = (STATE_FIELD.encode(), VERSION_FIELD.encode(), VERSION.encode())
    own = [[name for name in fields if name.startswith(prefixes)] for fields in present]
    send(
        stores.client,
        [(b"HDEL", key, *_fields(layout), *names) for key, names in zip(keys, own, strict=True)],
    )
    for key, names in zip(keys, own, strict=True):
        item = entity_value(ITEM.join_key, key) or ""
        parts = [name[len(STATE_FIELD) :] for name in names if name.startswith(STATE_FIELD.encode())]
        changelog.forget_items([b"%b:%b" % (source, item.encode()) for source in parts])


def _fields(layout: ViewLayout) -> list[bytes]:
    return [timestamp_field(layout.name), *(feature_field(layout.name, name) for name in layout.names)]


def _batches(stores: Stores, layout: ViewLayout) -> Iterator[list[bytes]]:
    """Keys of all entities of a view's kind, each once."""
    name, project = layout.entity.join_key, stores.store.project
    found = stores.client.scan_iter(match=f"*{name}*{project}", count=_AT_ONCE)
    keys = iter({key for key in found if entity_value(name, key, project) is not None})
    while batch := list(islice(keys, _AT_ONCE)):
        yield batch
