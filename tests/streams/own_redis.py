"""A Redis that a test may kill, empty and set back."""

import shutil
import subprocess
import time
from pathlib import Path

import redis

from deploy.stack.redis import redis_server
from tests.streams.ingest_site import free_port


class OwnRedis:
    """A server that a test may kill and set back."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.client = redis.Redis(port=self.port)
        self.start()

    def start(self) -> None:
        command = [redis_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self._process = subprocess.Popen([*command, str(self.directory)], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < until
                time.sleep(0.02)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def snapshot(self, name: str) -> None:
        self.client.save()
        shutil.copy(self.directory / "dump.rdb", self.directory / name)

    def set_back(self, name: str) -> None:
        shutil.copy(self.directory / name, self.directory / "dump.rdb")
