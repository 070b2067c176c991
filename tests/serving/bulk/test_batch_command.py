"""`headwater batch` beside the running service: everybody gets the answers that online gives."""

from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_repo.purchases import DAY
from tests.serving.bulk.command import headwater
from tests.serving.running import BOUGHT, PROFILE_ONLY, TODAY, Running, until

pytestmark = pytest.mark.stack


def test_everybody_gets_the_answers_that_online_gives(service: Running, tmp_path: Path) -> None:
    service.announce(1)
    until(lambda: service.live(1))
    ids = [*BOUGHT, PROFILE_ONLY, "nobody"]
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    at = datetime.datetime.fromtimestamp(TODAY * DAY / 1e6 + 43_200, datetime.UTC)
    arguments = ["batch", "--customers", "ids.txt", "--as-of", f"{at:%Y-%m-%dT%H:%M:%SZ}", "--part", "2"]
    done = headwater(service.environment(), tmp_path, *arguments, "--output", "lists")
    assert done.returncode == 0, done.stderr
    assert "5 of them made now" in done.stdout
    parts = sorted((tmp_path / "lists").glob("part-*.parquet"))
    made = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert [row["customer_id"] for row in made] == ids
    with service.client() as client:
        for row in made:
            reply = client.recommend(row["customer_id"], n=12, as_of=at, deadline_ms=30_000)
            assert row["items"] == [item.item_id for item in reply.items]
            assert row["scores"] == pytest.approx([item.score for item in reply.items], rel=1e-5)
            assert row["reason"] == reply.reason
            assert (reply.model_version is None) == (row["customer_id"] not in BOUGHT)

    (tmp_path / "lists/part-00001.parquet").unlink()
    again = headwater(service.environment(), tmp_path, "batch", "--output", "lists")
    assert again.returncode == 0, again.stderr
    assert "2 of them made now" in again.stdout

    service.announce(2)
    until(lambda: service.live(2))
    other = headwater(service.environment(), tmp_path, "batch", "--output", "lists")
    assert other.returncode == 1
    assert "was begun with model 1 (now 2)" in other.stderr
