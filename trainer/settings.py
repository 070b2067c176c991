"""Settings of the trainer, from the same environment variables as the other processes (no pydantic here)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.contracts.topics import PARTITIONER, Topics

_KAFKA = {
    "HEADWATER_KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "HEADWATER_KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "HEADWATER_KAFKA_SASL_USERNAME": "sasl.username",
    "HEADWATER_KAFKA_SASL_PASSWORD": "sasl.password",
    "HEADWATER_KAFKA_SSL_CA_LOCATION": "ssl.ca.location",
    "HEADWATER_KAFKA_SSL_CERTIFICATE_LOCATION": "ssl.certificate.location",
    "HEADWATER_KAFKA_SSL_KEY_LOCATION": "ssl.key.location",
    "HEADWATER_KAFKA_SSL_KEY_PASSWORD": "ssl.key.password",
}
CLOCKS = ("wall", "stream")


@dataclass(frozen=True)
class TrainerSettings:
    """Where the trainer reads and writes.

    Attributes
    ----------
    state
        Directory of all state.
    shop
        Name or path of the shop profile.
    event_clock
        Whether "now" is the newest event (replays of old data) and not the wall clock.
    connection
        librdkafka's connection settings.
    """

    state: Path
    shop: str
    event_clock: bool
    topics: Topics
    metrics_port: int
    connection: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> TrainerSettings:
        """Read the environment. Raises ValueError naming a variable with a value that is none."""
        clock = environment.get("HEADWATER_CLOCK") or "wall"
        if clock not in CLOCKS:
            raise ValueError(f"HEADWATER_CLOCK is {clock!r}; give one of {', '.join(CLOCKS)}")
        port = environment.get("HEADWATER_METRICS_PORT") or "0"
        if not port.isdigit() or int(port) > 65535:
            raise ValueError(f"HEADWATER_METRICS_PORT is {port!r}; give a port number, or 0 for a free one")
        return cls(
            state=Path(environment.get("HEADWATER_STATE") or ".headwater").absolute(),
            shop=environment.get("HEADWATER_SHOP") or "complete_journey",
            event_clock=clock == "stream",
            topics=Topics.named(environment.get("HEADWATER_TOPIC_PREFIX") or ""),
            metrics_port=int(port),
            connection={
                "bootstrap.servers": environment.get("KAFKA_BOOTSTRAP_SERVERS") or "127.0.0.1:9092",
                **{key: environment[name] for name, key in _KAFKA.items() if environment.get(name)},
            },
        )

    @property
    def store(self) -> Path:
        """The offline store."""
        return self.state / "offline"

    @property
    def bundles(self) -> Path:
        """Where bundles are published."""
        return self.state / "bundles"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are kept."""
        return self.state / "checkpoints"

    def kafka_config(self) -> dict[str, Any]:
        """librdkafka's settings for consumers."""
        return dict(self.connection)

    def producer_config(self) -> dict[str, Any]:
        """librdkafka's settings for producers."""
        return {**self.connection, "partitioner": PARTITIONER, "enable.idempotence": True}
