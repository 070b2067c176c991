"""Kafka and Redis that speak TLS and ask who is there: settings reach every client, a wrong one is let in nowhere."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient  # type: ignore[attr-defined]

from feature_repo.record_store import RecordStore
from feature_repo.redis_commands import connect, send
from serving.gateway.security.rate_limits import PAUSE_S, RateLimits
from streams.contracts.compacted import CompactedTable
from streams.create_topics import create_topics
from streams.sender import Sender
from streams.settings import Settings
from tests.streams.ingest_site import IngestSite, made_events, made_items
from tests.streams.test_app import running
from tests.streams.tls_servers import (
    PASSWORD,
    REDIS_PASSWORD,
    Authority,
    Certificates,
    TlsKafka,
    by_certificate,
    by_password,
    for_redis,
    tls_kafka,
    tls_redis,
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Authority(tmp_path_factory.mktemp("certificates")).certificates()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of an authority that the servers do not know, nor their clients."""
    return Authority(tmp_path_factory.mktemp("stranger")).certificates()


@pytest.fixture(scope="module")
def kafka(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsKafka]:
    with tls_kafka(tmp_path_factory.mktemp("kafka"), certificates) as found:
        yield found


@pytest.fixture(scope="module")
def redis_address(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tls_redis(tmp_path_factory.mktemp("redis"), certificates) as found:
        yield found


def configured(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings(topic_prefix=f"tls-{uuid.uuid4().hex[:8]}-")


@pytest.mark.parametrize("way", [by_certificate, by_password])
def test_kafka_takes_and_gives_records(
    way: Any, kafka: TlsKafka, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configured(way(kafka, certificates), monkeypatch)
    topic = settings.topics.models
    create_topics([topic], settings.kafka_config())
    sender = Sender(Producer(settings.producer_config()))
    sender.send(topic.name, b"value", b"key")
    sender.flush()
    sender.close()
    with CompactedTable(topic.name, settings.kafka_config()) as table:
        assert [(record.key, record.value) for record in table.load()] == [(b"key", b"value")]


OWN_CERTIFICATE, OWN_KEY = "HEADWATER_KAFKA_SSL_CERTIFICATE_LOCATION", "HEADWATER_KAFKA_SSL_KEY_LOCATION"


@pytest.mark.parametrize(
    ("way", "wrong"),
    [
        (by_certificate, {OWN_CERTIFICATE: None, OWN_KEY: None}),
        (by_certificate, {OWN_CERTIFICATE: "client", OWN_KEY: "client_key"}),
        (by_certificate, {"HEADWATER_KAFKA_SSL_CA_LOCATION": "ca"}),
        (by_certificate, {"HEADWATER_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}),
        (by_password, {"HEADWATER_KAFKA_SASL_PASSWORD": "wrong"}),
        (by_password, {"HEADWATER_KAFKA_SASL_USERNAME": "somebody"}),
        (by_password, {"HEADWATER_KAFKA_SSL_CA_LOCATION": "ca"}),
    ],
    ids=str,
)  # fmt: skip
def test_kafka_lets_nobody_in_with_anything_wrong(
    way: Any,
    wrong: dict[str, str | None],
    kafka: TlsKafka,
    certificates: Certificates,
    stranger: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = way(kafka, certificates)
    for name, value in wrong.items():
        environment[name] = str(getattr(stranger, value, value)) if value is not None else ""
    settings = configured({name: value for name, value in environment.items() if value}, monkeypatch)
    with pytest.raises(KafkaException):
        AdminClient(settings.kafka_config()).list_topics(timeout=3)


def test_redis_takes_and_gives_values(
    redis_address: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configured(for_redis(redis_address, certificates), monkeypatch)
    client = connect(settings.redis_url)
    assert send(client, [("SET", "k", "v"), ("GET", "k")]) == [b"OK", b"v"]

    async def count() -> None:
        limits = RateLimits(settings.redis_url)
        for _ in range(10):
            assert await limits.wait("key", "k1", "1000/day") == 0
            if client.keys("hw:limits*"):
                break
            await asyncio.sleep(PAUSE_S)  # a busy machine's first handshake took longer than a request may wait
        await limits.close()

    asyncio.run(count())
    assert len(client.keys("hw:limits*")) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"HEADWATER_REDIS_PASSWORD": "wrong"},
        {"HEADWATER_REDIS_PASSWORD": None, "HEADWATER_REDIS_USERNAME": None},
        {"HEADWATER_REDIS_SSL_CERTIFICATE_LOCATION": None, "HEADWATER_REDIS_SSL_KEY_LOCATION": None},
        {"HEADWATER_REDIS_SSL_CA_LOCATION": "ca"},
        {"HEADWATER_REDIS_SSL_CA_LOCATION": None},
    ],
    ids=str,
)
def test_redis_lets_nobody_in_with_anything_wrong(
    wrong: dict[str, str | None],
    redis_address: str,
    certificates: Certificates,
    stranger: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = for_redis(redis_address, certificates)
    for name, value in wrong.items():
        environment[name] = str(getattr(stranger, value, value)) if value is not None else ""
    settings = configured({name: value for name, value in environment.items() if value}, monkeypatch)
    with pytest.raises(redis.RedisError) as refused:
        connect(settings.redis_url, retries=0).ping()
    assert REDIS_PASSWORD not in str(refused.value)


def test_certificates_without_tls_are_a_mistake_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"REDIS_URL": "redis://me:hush@cache:1/0", "HEADWATER_REDIS_SSL_CA_LOCATION": "/ca.pem"}
    with pytest.raises(ValueError, match="rediss://") as refused:
        configured(environment, monkeypatch)
    assert "hush" not in str(refused.value)


def test_what_is_printed_of_the_settings_holds_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "REDIS_URL": "rediss://cache:1/0",
        "HEADWATER_REDIS_PASSWORD": "hush",
        "HEADWATER_REDIS_USERNAME": "me",
    }
    settings = configured(environment, monkeypatch)
    assert settings.redis_url == "rediss://me:hush@cache:1/0"
    assert settings.redis_address == "rediss://cache:1/0"
    assert "hush" not in repr(settings) + str(settings)


def test_the_url_s_own_password_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"REDIS_URL": "rediss://me:mine@cache:1/0", "HEADWATER_REDIS_PASSWORD": "hush"}
    assert configured(environment, monkeypatch).redis_url == "rediss://me:mine@cache:1/0"


def test_the_streams_process_runs_on_both(
    kafka: TlsKafka,
    redis_address: str,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    environment = by_password(kafka, certificates) | for_redis(redis_address, certificates)
    settings = configured(environment, monkeypatch)
    site = IngestSite(settings.model_copy(update={"state": tmp_path}))
    try:
        site.publish_items(made_items())
        with running(site, tmp_path, REDIS_URL=environment["REDIS_URL"]) as process:
            site.publish_events(made_events(300))
            site.wait_until_applied()
            assert process.stop() == 0
        assert len(dict(RecordStore(site.client, "item"))) == 40
        log = process.log.read_text()
        assert PASSWORD not in log
        assert REDIS_PASSWORD not in log
    finally:
        site.close()
