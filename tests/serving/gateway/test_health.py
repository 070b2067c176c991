"""Health tells the truth: of Redis that goes and comes back, of a model that is not there, of Kafka that is gone."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from deploy.stack.stack import Stack
from serving.gateway.readiness import STUCK_S, Ready
from serving.gateway.settings import GatewaySettings
from tests.deploy.test_stack import site
from tests.serving.gateway.running import RunningGateway, running_gateway
from tests.serving.running import until
from tests.serving.triton_server import TritonServer

pytestmark = pytest.mark.stack


def test_a_gateway_with_all_it_needs_is_ready(http: httpx.Client) -> None:
    answer = http.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "checks": dict.fromkeys(("kafka", "redis", "items", "answering", "model"), "ok"),
        "degraded": [],
        "model_version": 1,
    }
    assert answer.headers["cache-control"] == "no-store"
    assert http.get("/health/live").json() == {"alive": True}


@pytest.mark.parametrize(("stuck_s", "alive"), [((0.0, 0.0), True), ((0.0, STUCK_S), False), ((math.inf, 0.0), False)])
def test_each_thread_that_answers_must_live(stuck_s: tuple[float, float], alive: bool) -> None:
    answering: Any = [SimpleNamespace(stuck_s=each) for each in stuck_s]
    engine: Any = None
    assert Ready(GatewaySettings(), engine, answering).alive().alive is alive


def test_what_goes_is_told_and_so_is_what_comes_back(kafka: str, triton: TritonServer, tmp_path: Path) -> None:
    """Without a model it is ready and degraded, without Redis not ready, and recommends all the same."""
    parts = Stack(site(tmp_path / "redis"))
    gateway: RunningGateway | None = None
    try:
        parts.up(["redis"])
        gateway = running_gateway(kafka, parts.site.redis_url, triton, tmp_path)
        gateway.start()
        with gateway.http() as http:

            def state() -> tuple[int, str, str]:
                answer = http.get("/health/ready")
                checks = answer.json()["checks"]
                return answer.status_code, checks["redis"], checks["model"]

            assert state() == (200, "ok", "none yet: what is trending is answered")
            assert http.get("/health/ready").json()["degraded"] == ["model"]
            gateway.announce(1)
            until(lambda: state() == (200, "ok", "ok"))
            parts.down(["redis"])
            until(lambda: state()[:2] == (503, "out of reach"))
            assert http.get("/health/live").status_code == 200
            assert http.get("/customers/ann/recommendations").json()["reason"] == "missing_features"
            parts.up(["redis"])
            until(lambda: state() == (200, "ok", "ok"))
        assert gateway.close() == 0, gateway.log.read_text()[-4000:]
    finally:
        if gateway is not None and gateway.process is not None and gateway.process.poll() is None:
            gateway.close()
        parts.down()
