"""A gateway with all its parts and keys, whose topics and Redis nobody else uses: for whatever may be sent to it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from feature_repo.redis_commands import connect
from serving.gateway.security.keys import make_key, record_of
from serving.gateway.security.principal import Scope
from streams.contracts.codec import encode
from streams.contracts.events import Customer
from streams.contracts.requests import RecommendationRequest, Reply, ServedRecord, Status
from tests.serving.gateway.running import RunningGateway, running_gateway
from tests.serving.gateway.streams_process import streams_of
from tests.serving.running import until
from tests.serving.triton_server import TritonServer

EXISTING = {
    "customer_id": ["ann", "bob", "cleo", "dan"],
    "item_id": ["i1", "i2", "i298", "i299"],
    "recommendation_id": ["answered"],
    "key_id": ["0123456789ab"],
}
"""Ids, by the parameter of a path, of what is there at the start."""


@dataclass(frozen=True)
class Fuzzed:
    """Where the gateway is, and a key with every scope for it."""

    gateway: RunningGateway
    headers: dict[str, str]

    @property
    def url(self) -> str:
        return self.gateway.url


@contextmanager
def fuzzed_gateway(kafka: str, redis_url: str, triton: TritonServer, directory: Path) -> Iterator[Fuzzed]:
    """Gateway and streams, with model 1 live and something under each of the existing ids."""
    connect(redis_url).flushall()
    wants_keys = {
        "HEADWATER_GATEWAY_OPEN": "false",
        "HEADWATER_GATEWAY_TOKEN_SECRET": secrets.token_hex(32),
        "HEADWATER_GATEWAY_RATE_PER_CUSTOMER": "100000/second",
    }
    gateway = running_gateway(kafka, redis_url, triton, directory, wants_keys)
    gateway.announce(1)
    headers = {"Authorization": f"Bearer {_furnish(gateway)}"}
    with streams_of(gateway):
        gateway.start()
        try:
            until(lambda: gateway.live(1))
            for path in ("/items/i299", "/customers/dan", "/recommendations/answered"):
                until(lambda path=path: httpx.get(f"{gateway.url}{path}", headers=headers).status_code == 200)
            yield Fuzzed(gateway, headers)
        finally:
            code = gateway.close()
    assert code == 0, gateway.log.read_text()[-4000:]


def _furnish(gateway: RunningGateway) -> str:
    """Publish what is to exist; the text of a key with every scope."""
    topics = gateway.settings.topics
    for customer_id in EXISTING["customer_id"]:
        gateway.send(topics.customers.name, encode(Customer(customer_id=customer_id)), customer_id)
    reply = Reply(correlation_id="c", recommendation_id="answered", customer_id="ann", status=Status.OK, items=[])
    served = ServedRecord(
        recommendation_id="answered",
        correlation_id="c",
        customer_id="ann",
        served_at=1,
        request=RecommendationRequest(customer_id="ann"),
        reply=reply,
    )
    gateway.send(topics.served.name, encode(served), "answered")
    key = make_key("fuzzer", list(Scope), time.time_ns() // 1_000_000, rate="100000/second")
    other = msgspec.structs.replace(key.record, key_id=EXISTING["key_id"][0])
    for name, record in map(record_of, (key.record, other)):
        gateway.send(topics.api_keys.name, record, name.decode())
    gateway.producer.flush(10)
    return key.text
