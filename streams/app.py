"""The streams process: `python -m streams.app`.

A Faust app holds the topology together: agents for the catalogue and the customers, the timer that asks for
training, the life cycle. Interactions go through a service of it, `streams.ingest`; docs/adr/0001-hot-path.md says
why.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

import faust
import redis
from aiokafka.codec import has_lz4, has_snappy, has_zstd  # type: ignore[import-untyped]
from confluent_kafka import KafkaException
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential

from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import Connections, connect
from feature_repo.shop import Shop, load_shop
from streams.at_once import at_once
from streams.compaction_process import compact
from streams.contracts.codec import encode
from streams.contracts.observability import READY, TRIGGERS, configure_logging, logger, serve_metrics
from streams.contracts.operations import DeadLetter
from streams.contracts.topics import Topic
from streams.dead_letters import DeadLetters
from streams.erasure.scrub import Scrubber, Scrubbing
from streams.erasure.topics import ErasureRecords
from streams.ingest.service import Ingest, make_producer
from streams.ingest.steps import Step, pass_by
from streams.sender import Sender
from streams.settings import Settings
from streams.triggers import Every, TriggerWatch
from streams.upsert_positions import Reader, Upserter, UpsertPositions
from streams.upserts import Customers, Items, Raw

log = logger(__name__)

TAKE = 2000
"""Records that an agent takes at a time, at most."""

LOOK_S = 1.0
"""Seconds between two looks at whether training is due."""

Upserts = Callable[[Iterable[Raw]], list[DeadLetter]]


class Readiness:
    """The process is ready once all of its parts have said so."""

    def __init__(self, *parts: str) -> None:
        self._missing = set(parts)

    def part(self, name: str) -> Callable[..., None]:
        """Return what a part calls when it is ready."""

        def ready(*_: Any, **__: Any) -> None:
            self._missing.discard(name)
            READY.set(0 if self._missing else 1)

        return ready


def build(settings: Settings, shop: Shop, step: Step = pass_by) -> faust.App:
    """Return the app, not yet started; `step`: see `streams.ingest.steps`."""
    (settings.state / "faust").mkdir(parents=True, exist_ok=True)
    app = faust.App(
        f"{settings.topic_prefix}headwater-streams",
        broker=[f"kafka://{server}" for server in settings.kafka_bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        broker_max_poll_records=TAKE,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=2 * TAKE,
        stream_wait_empty=False,
        store="memory://",
        datadir=str(settings.state / "faust"),
        topic_replication_factor=max(1, settings.topic_replication),
        topic_allow_declare=True,  # of its own leader topic; ours exist by then
        web_enabled=False,
    )
    ready = Readiness("ingest", "agents")
    READY.set(0)
    _add_ingest(app, settings, shop, ready.part("ingest"), step)
    _add_agent(app, settings, settings.topics.items, lambda store: Items(store, shop).apply)
    _add_agent(app, settings, settings.topics.customers, _customers(settings, shop))
    _add_triggers(app, settings)
    _add_compaction(app, settings)
    _add_scrubbing(app, settings)
    agents_ready = ready.part("agents")

    app.on_partitions_assigned.connect(agents_ready, weak=False)
    return app


def _add_ingest(app: faust.App, settings: Settings, shop: Shop, on_ready: Callable[[], None], step: Step) -> None:
    given = {"settings": settings, "shop": shop, "on_ready": staticmethod(on_ready), "step": staticmethod(step)}
    app.service(type("Ingest", (Ingest,), given))


def _customers(settings: Settings, shop: Shop) -> Callable[[OnlineStore], Upserts]:
    records = ErasureRecords(Sender(make_producer(settings)), settings.topics)
    return lambda store: Customers(store, shop, records.announce).apply


def _add_agent(app: faust.App, settings: Settings, topic: Topic, make: Callable[[OnlineStore], Upserts]) -> None:
    """Have an agent read a topic's raw records in batches; Faust's own decoding costs more than all the rest."""
    upserter = _upserter(settings, topic, make, app.conf.id)

    async def agent(stream: Any) -> AsyncIterable[None]:
        async for events in at_once(stream, TAKE):
            records = [_raw(event.message) for event in events]
            # An agent that raises would go on with the next batch: nothing but Redis or Kafka coming back helps.
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type((redis.RedisError, KafkaException, TimeoutError)),
                wait=wait_exponential(0.2, max=5.0),
                after=lambda state: log.warning("held back", topic=topic.name, attempts=state.attempt_number),
            ):
                with attempt:
                    await asyncio.to_thread(upserter.take, records)
            yield None

    agent.__name__ = agent.__qualname__ = topic.name  # what Faust calls it in its logs
    channel = app.topic(
        topic.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
    )
    app.agent(channel, name=f"streams.app.{topic.name}")(agent)

    def assigned(sender: Any, /, *found: Any, signal: Any = None, **_: Any) -> None:
        upserter.assigned([each.partition for each in found[0] if each.topic == topic.name])

    app.on_partitions_assigned.connect(assigned, weak=False)

    @app.timer(LOOK_S, name=f"what Redis lacks of {topic.name}")  # type: ignore[untyped-decorator]
    async def look() -> None:
        try:
            await asyncio.to_thread(upserter.look)
        except (redis.RedisError, KafkaException, TimeoutError) as error:
            log.warning("can't tell what Redis lacks", topic=topic.name, error=str(error))


def _upserter(settings: Settings, topic: Topic, make: Callable[[OnlineStore], Upserts], group: str) -> Upserter:
    connections = Connections()
    client = connect(settings.redis_url, retries=0, connections=connections)
    sender = Sender(make_producer(settings))
    letters = DeadLetters(sender, settings.topics.dead_letters.name)

    def reject(rejected: list[DeadLetter]) -> None:
        for each in rejected:
            letters.send(each)
        sender.flush()

    reader = Reader(topic.name, group, settings.kafka_config())
    return Upserter(reader, UpsertPositions(client, topic.name), connections, make(OnlineStore(client)), reject)


def _raw(message: Any) -> Raw:
    return Raw(
        message.topic, message.partition, message.offset, int(message.timestamp * 1000), message.key, message.value
    )


def _add_triggers(app: faust.App, settings: Settings) -> None:
    topic = settings.topics.training_triggers.name
    channel = app.topic(
        topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=True
    )
    every = Every(
        settings.train_every_interactions,
        settings.train_every_seconds,
        max(1, settings.train_every_interactions // 100),
    )
    watch = TriggerWatch(topic, settings.kafka_config(), settings.offline, every, since=_now())

    @app.timer(LOOK_S, on_leader=True, name="training triggers")  # type: ignore[untyped-decorator]
    async def ask_for_training() -> None:
        try:
            trigger = await asyncio.to_thread(watch.look, _now())
        except (KafkaException, OSError, TimeoutError) as error:
            log.warning("can't tell whether training is due", error=str(error))
            return
        if trigger is not None:
            await channel.send(key=trigger.trigger_id.encode(), value=encode(trigger))
            TRIGGERS.labels(trigger.reason.value).inc()
            log.info("training asked for", reason=trigger.reason.value, interactions=trigger.interactions)


def _add_compaction(app: faust.App, settings: Settings) -> None:
    @app.timer(settings.compact_every_seconds, on_leader=True, name="compaction")  # type: ignore[untyped-decorator]
    async def compaction() -> None:
        try:
            await compact()
        except (OSError, RuntimeError) as error:
            log.warning("the offline store was not compacted", error=str(error))


def _add_scrubbing(app: faust.App, settings: Settings) -> None:
    def make() -> Scrubber:
        group = f"{settings.topic_prefix}headwater-scrub"
        return Scrubber(settings.topics, settings.kafka_config(), group, Sender(make_producer(settings)))

    app.service(type("Scrubbing", (Scrubbing,), {"make": staticmethod(make)}))


def _now() -> int:
    return time.time_ns() // 1_000_000


def _credentials(settings: Settings) -> Any:
    """Return Faust's form of how to log in to Kafka, None for an open one."""
    protocol = settings.kafka_security_protocol
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=_text(settings.kafka_ssl_ca_location))
        if settings.kafka_ssl_certificate_location is not None:
            password = settings.kafka_ssl_key_password
            context.load_cert_chain(
                settings.kafka_ssl_certificate_location,
                settings.kafka_ssl_key_location,
                password.get_secret_value() if password else None,
            )
    if protocol.startswith("SASL"):
        secret = settings.kafka_sasl_password
        return faust.SASLCredentials(
            username=settings.kafka_sasl_username,
            password=secret.get_secret_value() if secret else None,
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context is not None else None


def _text(path: Any) -> str | None:
    return None if path is None else str(path)


def check_codecs() -> None:
    """Faust's Kafka client crashes on the first compressed record that it can't read: say so at the start.

    Raises
    ------
    ModuleNotFoundError: the codecs are not installed.
    """
    if not (has_lz4() and has_snappy() and has_zstd()):
        raise ModuleNotFoundError(
            "aiokafka can't read lz4, snappy and zstd here; install them with: pip install cramjam"
        )


def main(step: Step = pass_by) -> None:
    """Run until told to stop by SIGTERM or SIGINT; `step`: see `streams.ingest.steps`."""
    settings = Settings()
    configure_logging("streams", settings.log_level)
    if settings.log_level.upper() != "DEBUG":
        for library in ("faust", "mode", "aiokafka"):
            logging.getLogger(library).setLevel(logging.WARNING)
    stop_metrics = serve_metrics(settings.metrics_port)
    check_codecs()
    app = build(settings, load_shop(settings.shop), step)
    app.finalize()
    worker = faust.Worker(app, loglevel=settings.log_level, override_logging=False, redirect_stdouts=False, quiet=True)
    try:
        worker.execute_from_commandline()
    finally:
        READY.set(0)
        stop_metrics()


if __name__ == "__main__":
    main()
