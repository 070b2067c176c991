"""All that answering takes, in one process: the items, the live model, customers' rows, and who keeps them current."""

from __future__ import annotations

import threading

from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import connect
from feature_repo.shop import load_shop
from feature_repo.views import item_catalogue
from serving.customers import CustomerReader
from serving.deleted_items import DeletedItems
from serving.health import Health
from serving.items_follower import ItemsFollower
from serving.items_table import ItemsTable
from serving.live_model import GuardedScorer, LiveModel
from serving.model import ModelFollower
from serving.service import Service
from serving.settings import ServingSettings
from serving.triton.client import TritonClient
from serving.triton.repository import RANKER, ModelRepository

REDIS_TIMEOUT_S = 0.25


class Engine:
    """The service with its followers; the Kafka consumer and the gateway have one each.

    Replicas may share a Triton: a version stays there until the next but one is live.

    Attributes
    ----------
    shop, items, live, scorer, store
        The profile, all items in process, the pointer to the model, what runs it, and the online store.
    service
        Answers requests; for one thread.
    """

    def __init__(self, settings: ServingSettings) -> None:
        self._settings = settings
        topics, kafka = settings.topics, settings.kafka_config()
        self.shop = load_shop(settings.shop)
        self.items, self.live = ItemsTable(self.shop), LiveModel()
        self.store = self._own_store()
        repository = ModelRepository(settings.models, {RANKER: settings.ranker_instances})

        def triton(timeout_s: float) -> TritonClient:
            return TritonClient(settings.triton_url, repository, timeout_s)

        guard = self.scorer = GuardedScorer(triton(settings.triton_timeout_ms / 1000))
        self.service = self._service(self.store)
        slow_store = OnlineStore(connect(settings.redis_url))
        deleted = DeletedItems(self.items, slow_store, item_catalogue(self.shop))
        loading = threading.Lock()
        self._items = ItemsFollower(self.items, deleted, topics, kafka)
        self._models = ModelFollower(
            self.live, guard, triton(2.0), loading, self.items, topics, kafka, self.service.default_as_of
        )
        self._health = Health(self.live, guard, triton(2.0), loading)

    def another_service(self) -> Service:
        """One more service over the same items and models, for another thread."""
        return self._service(self._own_store())

    def _own_store(self) -> OnlineStore:
        return OnlineStore(connect(self._settings.redis_url, timeout_s=REDIS_TIMEOUT_S, retries=1))

    def _service(self, store: OnlineStore) -> Service:
        return Service(
            self.shop,
            CustomerReader(store, self.shop),
            self.items,
            self.live,
            self.scorer,
            self._settings.topics.interactions.partitions,
            candidates=self._settings.candidates,
            stream_clock=self._settings.clock == "stream",
        )

    def start(self) -> None:
        """Load everything up to now, then follow what comes; returns when the first request may."""
        self._items.load()
        self._models.load()
        self.service.warm_up()
        self._items.start()
        self._models.start()
        self._health.start()

    @property
    def following(self) -> bool:
        """Whether the threads that keep items and model current are alive."""
        return self._items.alive and self._models.alive

    def stop(self) -> None:
        """End the followers."""
        self._health.stop()
        self._models.stop()
        self._items.stop()
