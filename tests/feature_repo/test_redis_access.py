"""Redis' URL with what it takes to be let in, and without it."""

import pytest
from redis.connection import SSLConnection, parse_url

from feature_repo.redis_commands import with_access, without_password


@pytest.mark.parametrize("password", ["hush", "p@:/ ?#%w", "ü", "1234"])
def test_redis_py_reads_back_what_was_put_in(password: str) -> None:
    url = with_access(
        "rediss://cache:7000/2", username="me", password=password, ca="/a b/ca.pem", certificate="/c.pem", key="/k.pem"
    )
    read = parse_url(url)
    assert (read["host"], read["port"], read["db"]) == ("cache", 7000, 2)
    assert (read["username"], read["password"]) == ("me", password)
    assert (read["ssl_ca_certs"], read["ssl_certfile"], read["ssl_keyfile"]) == ("/a b/ca.pem", "/c.pem", "/k.pem")
    assert read["connection_class"] is SSLConnection


@pytest.mark.parametrize("url", ["redis://cache:1/0", "unix:///run/redis.sock?db=3", "redis+cluster://a:1"])
def test_with_nothing_to_add_the_url_stays(url: str) -> None:
    assert with_access(url) == url


def test_twice_is_once() -> None:
    access = {"password": "hush", "ca": "/ca.pem"}
    once = with_access("rediss://cache/0", **access)
    assert with_access(once, **access) == once


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://me:hush@cache:1/0", "redis://cache:1/0"),
        ("rediss://:hush@[::1]:1?ssl_password=hush", "rediss://[::1]:1"),
        ("rediss+cluster://me:hush@cache:1", "rediss+cluster://cache:1"),
        ("a:9092,b:9092", "a:9092,b:9092"),
    ],
)
def test_what_is_told_holds_no_password(url: str, told: str) -> None:
    assert without_password(url) == told
