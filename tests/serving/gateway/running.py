"""The gateway's process on real Kafka, Redis and Triton, with a small shop of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from serving.gateway.settings import GatewaySettings
from tests.serving.running import Running, until
from tests.serving.triton_server import ROOT, TritonServer, free_ports


@dataclass
class RunningGateway(Running):
    """The process and a client for it; without `extra` settings nobody needs a key."""

    port: int = 0
    extra: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Those of the shop, and the gateway's."""
        own = {"HEADWATER_GATEWAY_PORT": str(self.port), "HEADWATER_GATEWAY_OPEN": "true"}
        return {**super().environment(), **own, **self.extra}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it says that it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving.gateway"],
                cwd=ROOT,
                env=dict(os.environ) | self.environment(),
                stderr=log,
            )
        try:
            until(self.answers, 120.0)
        except BaseException:
            self.process.kill()
            raise

    def answers(self) -> bool:
        """Does it answer, and is it ready?"""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def http(self, **options: object) -> httpx.Client:
        """A client of the process."""
        return httpx.Client(base_url=self.url, timeout=30, **options)  # type: ignore[arg-type]


def running_gateway(
    kafka: str, redis_url: str, triton: TritonServer, directory: Path, extra: Mapping[str, str] | None = None
) -> RunningGateway:
    """A filled shop without a model, its gateway not started yet."""
    settings = GatewaySettings(
        kafka_bootstrap_servers=kafka,
        redis_url=redis_url,
        state=directory,
        topic_prefix=f"gateway-{uuid.uuid4().hex[:8]}-",
    )
    metrics, port = free_ports(2)
    found = RunningGateway(settings, triton, metrics, directory / "gateway.log", port=port, extra=extra or {})
    found.fill()
    return found
