"""The gateway's process on a Kafka and a Redis that speak TLS and ask who is there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Producer

from feature_repo.redis_commands import connect
from serving.gateway.security.keys import make_key, record_of
from serving.gateway.security.principal import Scope
from serving.gateway.settings import GatewaySettings
from streams.contracts.compacted import CompactedTable
from streams.create_topics import create_topics
from streams.sender import Sender
from tests.serving.running import until
from tests.serving.triton_server import ROOT, free_ports, stop
from tests.streams.tls_servers import (
    PASSWORD,
    REDIS_PASSWORD,
    Authority,
    by_certificate,
    for_redis,
    tls_kafka,
    tls_redis,
)


def test_the_gateway_runs_on_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = Authority(tmp_path / "certificates").certificates()
    port, metrics_port = free_ports(2)
    with tls_kafka(tmp_path / "kafka", certificates) as kafka, tls_redis(tmp_path / "redis", certificates) as redis:
        environment = {
            **by_certificate(kafka, certificates),
            **for_redis(redis, certificates),
            "HEADWATER_STATE": str(tmp_path / "state"),
            "HEADWATER_TOPIC_PREFIX": f"tls-{uuid.uuid4().hex[:8]}-",
            "HEADWATER_GATEWAY_PORT": str(port),
            "HEADWATER_METRICS_PORT": str(metrics_port),
            "HEADWATER_TRITON_URL": "127.0.0.1:1",  # nobody: what is trending needs no model
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings = GatewaySettings()
        create_topics(settings.topics.all(), settings.kafka_config())
        key = make_key("a test", [Scope.INGEST, Scope.RECOMMEND], time.time_ns() // 1_000_000)
        name, record = record_of(key.record)
        sender = Sender(Producer(settings.producer_config()))
        sender.send(settings.topics.api_keys.name, record, name)
        sender.flush()
        sender.close()
        log = tmp_path / "gateway.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "serving.gateway"], cwd=ROOT, env=dict(os.environ), stderr=output
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": key.text}, timeout=30) as http:
                until(lambda: process.poll() is not None or answers(http), 150)
                assert process.poll() is None, log.read_text()[-4000:]
                assert http.get("/customers/ann/recommendations").status_code == 200
                event = {"event_id": "e1", "customer_id": "ann", "item_id": "i1", "type": "view"}
                posted = http.post("/interactions", json=event | {"timestamp": time.time_ns() // 1_000_000})
                assert posted.status_code == 202, posted.text
                store = connect(settings.redis_url)
                until(lambda: http.get("/items/popular").status_code == 200 and store.keys("hw:limits*"))
        finally:
            stop(process)
        with CompactedTable(settings.topics.interactions.name, settings.kafka_config()) as table:
            assert [found.key for found in table.load()] == [b"ann"]
        told = log.read_text()
        assert PASSWORD not in told
        assert REDIS_PASSWORD not in told


def answers(http: httpx.Client) -> bool:
    """Is it up?"""
    try:
        return http.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False
