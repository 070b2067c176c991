"""Empty the online store of all that a rebuild writes, and of nothing else that may share the server."""

from collections.abc import Iterable, Iterator
from itertools import islice

from feature_repo.entity_key import entity_value
from feature_repo.redis_commands import send
from feature_repo.views import CUSTOMER, ITEM
from streams.bulk.backfill import Stores
from streams.ingest.item_ids import KEYS
from streams.ingest.refusals import REFUSED_KEY
from streams.ingest.start import BACKFILL_KEY
from streams.topic_identity import TOPIC_KEY

_AT_ONCE = 1000
_PREFIXES = (b"hw:item:", b"hw:customer:", b"hw:stream:", b"hw:upserts:")
_SINGLE = (KEYS, BACKFILL_KEY, REFUSED_KEY, TOPIC_KEY)


def wipe(stores: Stores) -> int:
    """Do it; return the number of customers, items and records there were."""
    removed = 0
    for entity in (CUSTOMER, ITEM):
        project = stores.store.project
        found = stores.client.scan_iter(match=f"*{entity.join_key}*{project}", count=_AT_ONCE)
        removed += _unlink(stores, (key for key in found if entity_value(entity.join_key, key, project) is not None))
    for prefix in _PREFIXES:
        removed += _unlink(stores, stores.client.scan_iter(match=prefix + b"*", count=_AT_ONCE))
    return removed + _unlink(stores, _SINGLE)


def _unlink(stores: Stores, keys: Iterable[bytes]) -> int:
    return sum(sum(send(stores.client, [(b"UNLINK", key) for key in some])) for some in _batches(keys))


def _batches(keys: Iterable[bytes]) -> Iterator[list[bytes]]:
    iterator = iter(keys)
    while some := list(islice(iterator, _AT_ONCE)):
        yield some
