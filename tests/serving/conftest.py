"""A real Triton on free ports, one a session, and the serving process on it, one a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feature_repo.redis_commands import connect
from tests.serving.running import Running, running
from tests.serving.triton_server import ENVIRONMENT, TRITON, TritonServer, start_triton, stop


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    if not TRITON.exists() or not ENVIRONMENT.exists():
        pytest.fail("Triton or its environment is missing; `make` installs both")
    server = start_triton(tmp_path_factory.mktemp("triton"))
    yield server
    stop(server.process)


@pytest.fixture(scope="module")
def service(
    kafka: str, redis_url: str, triton: TritonServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """The serving process, started without a model."""
    connect(redis_url).flushall()
    service = running(kafka, redis_url, triton, tmp_path_factory.mktemp("serving"))
    service.start()
    yield service
    assert service.close() == 0, service.log.read_text()[-4000:]
