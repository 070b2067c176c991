"""A fresh installation for each test of the hot path."""

import uuid
from pathlib import Path

import pytest

from feature_repo.redis_commands import connect
from streams.settings import Settings
from tests.streams.ingest_site import IngestSite


@pytest.fixture
def site(kafka: str, redis_url: str, tmp_path: Path) -> IngestSite:
    connect(redis_url).flushall()
    return IngestSite(
        Settings(
            kafka_bootstrap_servers=kafka,
            redis_url=redis_url,
            state=tmp_path,
            topic_prefix=f"t{uuid.uuid4().hex[:8]}-",
        )
    )
