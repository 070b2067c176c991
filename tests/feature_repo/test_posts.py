"""Commands that are sent now and answered later, over one pinned connection."""

import pytest
import redis

from feature_repo.redis_commands import Client, Connections, Script, call, connect, post, send

COUNT = Script("return {redis.call('INCR', KEYS[1]), ARGV[1]}")
KEY = b"test:posts"


@pytest.fixture
def pinned(redis_url: str) -> Client:
    connections = Connections()
    client = connect(redis_url, retries=0, connections=connections)
    send(client, [(b"DEL", KEY)])
    connections.renew(client)
    return client


def test_replies_come_in_the_order_they_were_asked_for(pinned: Client) -> None:
    many = 3 * 256 + 5
    first = post(pinned, [call(COUNT, KEY, b"a")] * many, script=COUNT)
    second = post(pinned, [call(COUNT, KEY, b"b")], script=COUNT)
    # What is sent in between goes behind them, and takes its own answer only.
    assert send(pinned, [(b"GET", KEY)]) == [b"%d" % (many + 1)]
    assert second() == [[many + 1, b"b"]]
    assert first() == [[at + 1, b"a"] for at in range(many)]
    assert send(pinned, [(b"INCR", KEY)]) == [many + 2]


def test_an_error_is_raised_where_its_replies_are_taken(pinned: Client) -> None:
    send(pinned, [(b"SET", KEY, b"no number")])
    wrong = post(pinned, [call(COUNT, KEY, b"a")], script=COUNT)
    assert send(pinned, [(b"GET", KEY)]) == [b"no number"]
    with pytest.raises(redis.ResponseError):
        wrong()


def test_a_broken_connection_breaks_every_post_and_is_not_replaced(pinned: Client, redis_url: str) -> None:
    post(pinned, [call(COUNT, KEY, b"a")], script=COUNT)()
    connect(redis_url).client_kill_filter(_id=pinned.client_id())
    with pytest.raises(redis.ConnectionError):
        post(pinned, [call(COUNT, KEY, b"a")], script=COUNT)()
    with pytest.raises(redis.ConnectionError):
        send(pinned, [(b"GET", KEY)])


def test_replies_that_were_given_up_are_not_taken_for_none(pinned: Client, redis_url: str) -> None:
    posted = [post(pinned, [call(COUNT, KEY, b"a")], script=COUNT) for _ in range(2)]
    connections = pinned.connection_pool._in_use_connections  # type: ignore[union-attr]
    for connection in list(connections):
        connection.disconnect()
    for replies in posted:
        with pytest.raises(redis.ConnectionError):
            replies()


def test_without_a_pinned_connection_nothing_is_put_off(redis_url: str) -> None:
    client = connect(redis_url)
    send(client, [(b"DEL", KEY)])
    later = post(client, [call(COUNT, KEY, b"a")], script=COUNT)
    assert send(client, [(b"GET", KEY)]) == [b"1"]
    assert later() == [[1, b"a"]]
