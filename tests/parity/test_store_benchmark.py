"""The comparison that `headwater bench` prints compares the same values, and leaves nothing behind."""

import pytest
import redis

from benchmarks.store import run


@pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature")
def test_both_sides_of_the_comparison_read_the_same_values(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    result = run(redis_url, rows=40, pushes=1, reads=2)
    assert result["mismatched"] == 0
    assert result["write"]["ratio"] > 0
    assert client.dbsize() == 0
