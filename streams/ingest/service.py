"""The hot path as a service of the Faust app: one thread with a batched Kafka consumer."""

import asyncio
import gc
import threading
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, Producer
from mode import Service
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import Connections, connect
from feature_repo.shop import Shop
from streams.catalogue_feed import CatalogueFeed
from streams.contracts.codec import Limits
from streams.contracts.compacted import CompactedTable
from streams.contracts.observability import logger
from streams.contracts.topics import MAX_DEAD_LETTER_BYTES
from streams.dead_letters import DeadLetters
from streams.erasure.topics import LedgerFeed
from streams.ingest.apply import Applier
from streams.ingest.changelog import Changelog
from streams.ingest.customer_writer import CustomerWriter
from streams.ingest.dead_man import DeadManSwitch
from streams.ingest.feature_positions import read_markers
from streams.ingest.item_ids import ItemIds
from streams.ingest.item_writer import ItemWriter
from streams.ingest.offline_writer import OfflineWriter
from streams.ingest.start import RepartitionedError, Starts
from streams.ingest.steps import Step, pass_by
from streams.ingest.worker import Worker
from streams.sender import Sender
from streams.settings import Settings
from streams.topic_identity import Lookup

log = logger(__name__)

ASLEEP_S = 3.0
"""Seconds asleep after which a worker ends: less than its session's timeout less a heartbeat's interval."""

_CONSUMER = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "partition.assignment.strategy": "range",
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 2000,
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 32_768,
    # By default a full queue keeps the client from fetching for a second, while a worker empties it in half of one.
    "fetch.queue.backoff.ms": 20,
    "allow.auto.create.topics": False,
}

_PRODUCER = {
    "linger.ms": 2,
    # States are mostly hashes of ids: compressing what is replaced within minutes costs more than it saves, here and in
    # the broker, which has to look at every key of a compacted topic.
    "compression.type": "none",
    "message.max.bytes": MAX_DEAD_LETTER_BYTES,
    "queue.buffering.max.kbytes": 262_144,
    "queue.buffering.max.messages": 200_000,
    # What a worker had queued when it was stopped must not come out when it is woken long after.
    # Its session may be over in as little as its timeout less a heartbeat's interval, 4 s.
    "message.timeout.ms": 3000,
    # A sender wants to hear of failures; a call for each record that arrived costs more than sending it.
    "delivery.report.only.error": True,
}


def make_producer(settings: Settings) -> Producer:
    """Return the producer of changelogs and dead letters."""
    return Producer({**settings.producer_config(), **_PRODUCER})


def partitions_of(settings: Settings, topic: str, timeout: float = 30.0) -> int:
    """Return the number of a topic's partitions.

    Raises
    ------
    LookupError: there is no such topic.
    KafkaException: the broker can't be reached.
    """
    consumer = Consumer({**settings.kafka_config(), "group.id": "headwater-metadata"})
    try:
        found = consumer.list_topics(topic, timeout=timeout).topics[topic]
    finally:
        consumer.close()
    if found.error is not None or not found.partitions:
        raise LookupError(f"topic {topic!r} doesn't exist; create it with: python -m streams.create_topics")
    return len(found.partitions)


@retry(retry=retry_if_exception_type(KafkaException), wait=wait_fixed(0.5), stop=stop_after_delay(60), reraise=True)
def _table(settings: Settings, topic: str) -> CompactedTable:
    """Return a compacted topic; a broker that has just started may not know who leads it yet."""
    return CompactedTable(topic, settings.kafka_config())


def build_worker(
    settings: Settings,
    shop: Shop,
    on_ready: Callable[[], None] = lambda: None,
    step: Step = pass_by,
) -> Worker:
    """Return the hot path, wired to the real stores, with the catalogue loaded.

    Parameters
    ----------
    step: see `streams.ingest.steps`.
    """
    topics = settings.topics
    topic = topics.interactions.name
    partitions = partitions_of(settings, topic)
    connections = Connections()
    client = connect(settings.redis_url, retries=0, connections=connections)
    store = OnlineStore(client)
    sender = Sender(make_producer(settings))
    catalogue = CatalogueFeed(_table(settings, topics.items.name), shop)
    log.info("catalogue loaded", items=catalogue.load())
    applier = Applier(
        CustomerWriter(store, shop, catalogue.catalogue),
        ItemWriter(store, shop, partitions),
        ItemIds(client, catalogue.catalogue),
        Changelog(sender, topics),
        DeadLetters(sender, topics.dead_letters.name),
        LedgerFeed(_table(settings, topics.erasures.name), sender, topics.erasures.name, settings.offline),
        sender,
        topic,
        step=step,
    )
    return Worker(
        Consumer({**settings.kafka_config(), **_CONSUMER, "group.id": f"{settings.topic_prefix}headwater-ingest"}),
        topic,
        Starts(
            client,
            connections,
            topic,
            partitions,
            settings.offline,
            Lookup(settings.kafka_config(), topic),
            lambda: read_markers(topics, settings.kafka_config()).partitions,
            step,
        ),
        applier,
        OfflineWriter(settings.offline, step=step),
        catalogue,
        Limits(currency_exponent=shop.currency_exponent),
        on_ready,
        step=step,
    )


def settle_memory() -> None:
    """Keep the garbage collector from walking over the catalogue and the caches all the time.

    The hot path makes tuples and arrays by the thousand and no cycles; default thresholds cost a tenth of its time.
    """
    import pandas  # noqa: F401 - pyarrow would at its first array, and the first batch would wait a second

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class Ingest(Service):
    """Runs the worker in a thread; what the worker can't get over takes the app down with it.

    Set `settings`, `shop`, `on_ready` and `step` on a subclass before the app starts it.
    """

    settings: Settings
    shop: Shop
    on_ready: Callable[[], None]
    step: Step = staticmethod(pass_by)

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    async def on_start(self) -> None:
        """Start the thread."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="ingest", daemon=True)
        self._thread.start()

    async def on_stop(self) -> None:
        """Tell the worker to stop and wait until all is written."""
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 60.0)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._stopping.is_set():
                self._work()
        except Exception as error:
            log.exception("ingest ended", error=str(error))
            asyncio.run_coroutine_threadsafe(self.crash(error), loop)

    def _work(self) -> None:
        worker = build_worker(self.settings, self.shop, type(self).on_ready, type(self).step)
        settle_memory()
        try:
            with DeadManSwitch(ASLEEP_S):
                worker.run(self._stopping)
        except RepartitionedError as change:
            log.warning("ingest is made anew", why=str(change))
