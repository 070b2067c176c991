from pathlib import Path

import pytest

from feature_repo.apply import feast_environment

STATE = Path("state")


@pytest.mark.parametrize(
    ("url", "connection", "kind"),
    [
        ("redis://127.0.0.1:7000", "127.0.0.1:7000", "redis"),
        ("redis://cache/3", "cache:6379,db=3", "redis"),
        ("rediss://me:p%40ss@cache:1", "cache:1,ssl=true,username=me,password=p@ss", "redis"),
        ("rediss://cache:1/0?ssl_ca_certs=/ca.pem&timeout=3", "cache:1,db=0,ssl=true,ssl_ca_certs=/ca.pem", "redis"),
        ("redis+cluster://a:7001/0", "a:7001", "redis_cluster"),
    ],
)
def test_feast_gets_the_same_redis(url: str, connection: str, kind: str) -> None:
    variables = feast_environment(url, STATE)
    assert variables["HEADWATER_FEAST_REDIS"] == connection
    assert variables["HEADWATER_FEAST_REDIS_TYPE"] == kind
    assert variables["HEADWATER_FEAST_REGISTRY"] == str(STATE / "feast" / "registry.db")


@pytest.mark.parametrize("url", ["localhost:6379", "unix:///run/redis.sock", "http://cache:6379", "redis://"])
def test_what_feast_cannot_use_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="REDIS_URL"):
        feast_environment(url, STATE)


def test_a_password_that_feast_cannot_write_down_is_not_told() -> None:
    with pytest.raises(ValueError, match="comma") as refused:
        feast_environment("redis://me:hush,hush@cache:1", STATE)
    assert "hush" not in str(refused.value)
