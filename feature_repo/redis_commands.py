"""Sending many single-key commands and scripts to Redis, or to a Redis Cluster, in one go.

Everything sent through here may be sent again: reads, absolute values, versioned writes that are refused the
second time. So a broken connection is retried as a whole, and the caller need not know where it broke.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NewType
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from weakref import WeakKeyDictionary

import hiredis
import redis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import AskError, MovedError, NoScriptError, ResponseError
from redis.retry import Retry

Client = redis.Redis | redis.RedisCluster
"""A connection pool to one Redis server, or to a cluster."""

Command = tuple[bytes | str | int, ...]
"""A command's name and arguments."""

Script = NewType("Script", str)
"""The source of a Lua script that touches one key."""

CHUNK = 256
"""Commands sent before replies are collected; while the server works on one chunk, the next is packed."""

_pack: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its stub means tuple[X, ...]

CLUSTER_SCHEMES = {"redis+cluster://": "redis://", "rediss+cluster://": "rediss://"}


class Connections:
    """Counts the connections that a client makes: behind a new one Redis may be another than it was.

    Attributes
    ----------
    made: how many, up to now.
    """

    def __init__(self) -> None:
        self.made = 0
        self._pinned = False

    def renew(self, client: "Client") -> None:
        """Make one connection anew, and none after it: once it breaks, commands fail until this is called again.

        A pool would replace it between two commands without a word, and what belongs to one state of Redis would be
        written into another. A cluster's connections come and go; they are only counted.
        """
        if isinstance(client, redis.RedisCluster):
            return
        self._pinned = False
        if posts := _POSTS.pop(client, None):
            posts.drop()
        client.connection_pool.disconnect()
        client.ping()
        _POSTS[client] = _Posts(client)
        self._pinned = True

    def opened(self, connection: Any) -> None:
        """Greet the server on a new connection, as redis-py would have done itself.

        Raises
        ------
        redis.ConnectionError: there was to be no new one.
        """
        if self._pinned:
            raise redis.ConnectionError("the connection to Redis broke; it may have come back older than it was")
        connection.on_connect()
        self.count(connection)

    def count(self, _: Any) -> None:
        """Count one more."""
        self.made += 1


def connect(url: str, *, timeout_s: float = 5.0, retries: int = 3, connections: Connections | None = None) -> Client:
    """Return a client for a URL; nothing is sent yet, save to a cluster, whose layout is read.

    Parameters
    ----------
    url
        ``redis://host:port/db``, ``rediss://`` (TLS), ``unix://``, or ``redis+cluster://host:port`` and
        ``rediss+cluster://`` with any one node of a cluster; see `with_access` for passwords and certificates.
    timeout_s
        Seconds to wait for a connection and for each reply.
    retries
        How often a broken connection is tried again, after jittered waits from 20 ms to 1 s.
    connections
        Counts the connections made: a pool replaces one that was closed while it lay idle, and says nothing.

    Raises
    ------
    ValueError
        When the URL has another scheme.
    redis.RedisError
        When a cluster cannot be reached.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=1.0), retries),
    }
    for scheme, plain in CLUSTER_SCHEMES.items():
        if url.startswith(scheme):
            if connections is not None:
                options["redis_connect_func"] = connections.count
            return redis.RedisCluster.from_url(plain + url[len(scheme) :], **options)
    if connections is not None:
        options["redis_connect_func"] = connections.opened
    return redis.Redis.from_url(url, **options)


def with_access(
    url: str,
    *,
    username: str | None = None,
    password: str | None = None,
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    key_password: str | None = None,
) -> str:
    """Return the URL with what it takes to be let in, as `connect` and redis-py read it; the URL's own values win.

    Parameters
    ----------
    username, password
        Of an ACL user; a password alone is that of the user ``default``.
    ca
        Path of the certificates (PEM) that the server's must be signed by; default: the system's.
    certificate, key, key_password
        Paths of the client's own certificate and private key (PEM), where the server asks for one.

    Raises
    ------
    ValueError
        Certificates for a URL without TLS: the connection would be open all the same.
    """
    parts = urlsplit(url)
    files = {"ssl_ca_certs": ca, "ssl_certfile": certificate, "ssl_keyfile": key, "ssl_password": key_password}
    options = {name: value for name, value in files.items() if value is not None}
    if not (options or username or password):
        return url
    if options and not parts.scheme.startswith("rediss"):
        raise ValueError(
            f"certificates are configured for Redis, but {without_password(url)!r} has no TLS; write rediss://"
        )
    own, _, host = parts.netloc.rpartition("@")
    own_name, _, own_password = own.partition(":")
    access = f"{own_name or quote(username or '', safe='')}:{own_password or quote(password or '', safe='')}"
    query = urlencode({**options, **dict(parse_qsl(parts.query))}, safe="/")
    return parts._replace(netloc=host if access == ":" else f"{access}@{host}", query=query).geturl()


def without_password(url: str) -> str:
    """Return the URL as it may be printed: without credentials and options."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def call(script: Script, key: bytes, *arguments: bytes | str | int) -> Command:
    """Return the command that runs a script on a key."""
    return (b"EVALSHA", sha1(script), b"1", key, *arguments)


@lru_cache
def sha1(script: Script) -> bytes:
    """Return the digest by which Redis knows a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest().encode()


def send(client: Client, commands: Sequence[Command], *, script: Script | None = None) -> list[Any]:
    """Send commands in order (on a cluster: in order per key) and return their replies.

    Parameters
    ----------
    client
        From `connect`.
    commands
        Single-key commands that may be repeated; see the module's head.
    script
        The one script that they call, if any: it is loaded where the server does not know it yet.

    Raises
    ------
    redis.RedisError
        When the server cannot be reached, or the first error among the replies.
    """
    if isinstance(client, redis.RedisCluster):
        replies = _send_to_cluster(client, commands)
    elif (posts := _POSTS.get(client)) is not None:
        replies = posts.send(commands)
    else:
        replies = _send_to_node(client, commands)
    errors = [reply for reply in replies if isinstance(reply, ResponseError)]
    if script is not None and any(isinstance(error, NoScriptError) for error in errors):
        client.script_load(script)
        return send(client, commands)
    if errors:
        raise errors[0]
    return replies


Replies = Callable[[], list[Any]]
"""Waits for replies and returns them; raises what `send` raises."""


def post(client: Client, commands: Sequence[Command], *, script: Script) -> Replies:
    """Send commands now and take their replies when they are asked for, so that the server works meanwhile.

    Only for a client whose connection is pinned (`Connections.renew`) and that one thread uses; with any other this
    waits at once. What else is sent until all replies have been taken goes over the same connection, in order.

    Parameters
    ----------
    script
        The one script that they call.
    """
    posts = None if isinstance(client, redis.RedisCluster) else _POSTS.get(client)
    if posts is not None:
        return posts.post(commands, script)
    replies = send(client, commands, script=script)
    return lambda: replies


class _Posts:
    """Commands on one connection whose replies have not been taken yet, oldest first."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._connection: Any = None
        self._open: deque[tuple[int, list[Any]]] = deque()
        self._scripts: set[Script] = set()

    def send(self, commands: Sequence[Command]) -> list[Any]:
        if not self._open:
            return _send_to_node(self._client, commands)
        replies = self._put(commands)
        self._take_until(replies)
        return replies

    def post(self, commands: Sequence[Command], script: Script) -> Replies:
        if script not in self._scripts:
            self.send([(b"SCRIPT", b"LOAD", script)])
            self._scripts.add(script)
        replies = self._put(commands)

        def taken() -> list[Any]:
            self._take_until(replies)
            if len(replies) < len(commands):
                raise redis.ConnectionError("the connection to Redis broke before all replies were taken")
            errors = [reply for reply in replies if isinstance(reply, ResponseError)]
            if errors:
                raise errors[0]
            return replies

        return taken

    def _put(self, commands: Sequence[Command]) -> list[Any]:
        replies: list[Any] = []
        if self._connection is None:
            self._connection = self._client.connection_pool.get_connection()
        try:
            for start in range(0, len(commands), CHUNK):
                self._connection.send_packed_command([b"".join(map(_pack, commands[start : start + CHUNK]))])
        except BaseException:
            self.drop()
            raise
        self._open.append((len(commands), replies))
        return replies

    def _take_until(self, wanted: list[Any]) -> None:
        try:
            while any(replies is wanted for _, replies in self._open):
                count, replies = self._open.popleft()
                _receive(self._connection, count, replies)
        except BaseException:
            self.drop()
            raise
        if not self._open and self._connection is not None:
            self._client.connection_pool.release(self._connection)
            self._connection = None

    def drop(self) -> None:
        """Give up what has not been taken: replies may still be on their way, and nobody must take them for others."""
        self._open.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._client.connection_pool.release(connection)


_POSTS: WeakKeyDictionary[redis.Redis, _Posts] = WeakKeyDictionary()


def _send_to_node(client: redis.Redis, commands: Sequence[Command]) -> list[Any]:
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        replies: list[Any] = connection.retry.call_with_retry(
            lambda: _exchange(connection, commands), lambda _: connection.disconnect()
        )
    except BaseException:
        # Replies may still be on their way: the next user of this connection must not take them for its own.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)
    return replies


def _exchange(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """Send chunk after chunk, always reading the replies to the one before the last."""
    replies: list[Any] = []
    waiting = 0
    for start in range(0, len(commands), CHUNK):
        chunk = commands[start : start + CHUNK]
        connection.send_packed_command([b"".join(map(_pack, chunk))])
        _receive(connection, waiting, replies)
        waiting = len(chunk)
    _receive(connection, waiting, replies)
    return replies


def _receive(connection: Any, count: int, replies: list[Any]) -> None:
    """Take replies off the wire: a few through redis-py, many from hiredis at once, for redis-py's way of handing out
    one reply costs more than the server's of making it.
    """
    while count:
        try:
            # Reads from the socket if it must, and knows what to do when the connection breaks.
            replies.append(connection.read_response(disable_decoding=True))
        except ResponseError as error:
            replies.append(error)
        count -= 1
        count -= _take_parsed(connection, count, replies)


def _take_parsed(connection: Any, count: int, replies: list[Any]) -> int:
    """Take up to so many replies that have arrived whole; return how many there were."""
    get = connection._parser._reader.gets
    taken = 0
    while taken < count and (reply := get(False)) is not NOT_ENOUGH_DATA:
        if isinstance(reply, redis.ConnectionError):
            raise reply
        replies.append(reply)
        taken += 1
    return taken


def _send_to_cluster(client: Any, commands: Sequence[Command]) -> list[Any]:
    """Send each node its commands; redis-py's own routing takes those that a node no longer answers for."""
    by_node: dict[str, list[int]] = {}
    for position, command in enumerate(commands):
        by_node.setdefault(client.get_node_from_key(_key(command)).name, []).append(position)
    replies: list[Any] = [None] * len(commands)
    stray: list[int] = []
    for name, positions in by_node.items():
        node = client.get_redis_connection(client.get_node(node_name=name))
        try:
            answers = _send_to_node(node, [commands[i] for i in positions])
        except (redis.ConnectionError, redis.TimeoutError):
            stray.extend(positions)
            continue
        for position, answer in zip(positions, answers, strict=True):
            replies[position] = answer
            if isinstance(answer, MovedError | AskError):
                stray.append(position)
    if stray:
        with client.pipeline() as pipeline:
            for position in sorted(stray):
                pipeline.execute_command(*commands[position])
            routed = pipeline.execute(raise_on_error=False)
        for position, answer in zip(sorted(stray), routed, strict=True):
            replies[position] = answer
    return replies


def _key(command: Command) -> Any:
    """Return the command's only key: a script's follows its digest and the number of keys."""
    return command[3] if command[0] == b"EVALSHA" else command[1]
