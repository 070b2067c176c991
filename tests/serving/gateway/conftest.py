"""An open gateway with a live model, one a module."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from feature_repo.redis_commands import connect
from tests.serving.gateway.running import RunningGateway, running_gateway
from tests.serving.running import until
from tests.serving.triton_server import TritonServer


@pytest.fixture(scope="module")
def gateway(
    kafka: str, redis_url: str, triton: TritonServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """The process, with model 1 live; nobody needs a key."""
    connect(redis_url).flushall()
    gateway = running_gateway(kafka, redis_url, triton, tmp_path_factory.mktemp("gateway"))
    gateway.announce(1)
    gateway.start()
    until(lambda: gateway.live(1))
    yield gateway
    assert gateway.close() == 0, gateway.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def http(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """A client of the open gateway."""
    with gateway.http() as client:
        yield client
