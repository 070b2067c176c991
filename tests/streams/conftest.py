"""A fresh installation for each test of the hot path."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_repo.redis_commands import connect
from streams.settings import Settings
from tests.streams.ingest_site import IngestSite
from tests.streams.own_redis import OwnRedis


@pytest.fixture
def site(kafka: str, redis_url: str, tmp_path: Path) -> Iterator[IngestSite]:
    connect(redis_url).flushall()
    found = IngestSite(
        Settings(
            kafka_bootstrap_servers=kafka,
            redis_url=redis_url,
            state=tmp_path,
            topic_prefix=f"t{uuid.uuid4().hex[:8]}-",
        )
    )
    yield found
    found.close()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    directory = tmp_path / "redis"
    directory.mkdir()
    server = OwnRedis(directory)
    yield server
    server.kill()


@pytest.fixture
def own_site(kafka: str, own_redis: OwnRedis, tmp_path: Path) -> Iterator[IngestSite]:
    found = IngestSite(
        Settings(
            kafka_bootstrap_servers=kafka,
            redis_url=f"redis://127.0.0.1:{own_redis.port}/0",
            state=tmp_path / "state",
            topic_prefix=f"t{uuid.uuid4().hex[:8]}-",
        )
    )
    yield found
    found.close()
