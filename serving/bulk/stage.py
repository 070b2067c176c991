"""What bulk lists are made from: all items as the topics tell them, and the model that is announced."""

from __future__ import annotations

from collections.abc import Callable

from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import connect
from feature_repo.shop import load_shop
from feature_repo.trends import slot_of
from feature_repo.views import item_catalogue
from serving.bulk.lists import Lister
from serving.bulk.scorer import BulkScorer
from serving.bundle import Bundle, BundleError, directory_name, open_bundle, versions
from serving.customers import CustomerReader
from serving.deleted_items import DeletedItems
from serving.item_matrix import day_of
from serving.items_follower import ItemsFollower
from serving.items_table import ItemsTable
from serving.model import announcement
from serving.settings import ServingSettings
from serving.snapshot import snapshot
from streams.contracts.compacted import CompactedTable

REDIS_TIMEOUT_S = 30.0
"""A worker reads hundreds of customers at once and has time."""


def announced_bundle(settings: ServingSettings) -> Bundle:
    """The bundle that was announced last, verified.

    Raises LookupError where none is, BundleError where it cannot be opened, KafkaException and TimeoutError.
    """
    with CompactedTable(settings.topics.models.name, settings.kafka_config()) as table:
        found = [each for record in table.load() if (each := announcement(record)) is not None]
    if not found:
        raise LookupError("no model is announced yet: `headwater train` makes one")
    return open_bundle(found[-1].path, manifest_sha256=found[-1].manifest_sha256)


def own_bundle(settings: ServingSettings, version: int) -> Bundle:
    """The bundle of a version in the state directory, verified; raises BundleError naming those there are."""
    try:
        return open_bundle(settings.bundles / directory_name(version))
    except BundleError as error:
        known = ", ".join(map(str, versions(settings.bundles))) or "none"
        raise BundleError(f"{error} (versions there are: {known})") from error


def load_items(settings: ServingSettings) -> ItemsTable:
    """All items up to now, those deleted withdrawn, as the service loads them at its start; Kafka is left again.

    Raises LookupError, KafkaException and TimeoutError where Kafka does not tell.
    """
    shop = load_shop(settings.shop)
    items = ItemsTable(shop)
    deleted = DeletedItems(items, OnlineStore(connect(settings.redis_url)), item_catalogue(shop))
    follower = ItemsFollower(items, deleted, settings.topics, settings.kafka_config())
    try:
        follower.load()
    finally:
        follower.stop()
    return items


def lister(
    settings: ServingSettings, items: ItemsTable, bundle: Bundle, as_of: int, n: int, candidates: int
) -> Callable[[], Lister]:
    """Prepare all that processes can share, and return what makes a process' own `Lister` of it.

    Raises ValueError where the bundle is for another shop.
    """
    day, slot = day_of(as_of), slot_of(as_of)
    model = snapshot(bundle, items, day)
    items.trending(day)
    items.hot(slot)

    def make() -> Lister:
        store = OnlineStore(connect(settings.redis_url, timeout_s=REDIS_TIMEOUT_S))
        reader = CustomerReader(store, items.shop)
        return Lister(items, model, BulkScorer(bundle), reader.read, as_of=as_of, n=n, candidates=candidates)

    return make
