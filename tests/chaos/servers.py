"""Kafka and Redis, each in a stack of its own, killed and set back at will and started again by a thread."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import redis

from deploy.stack import processes
from deploy.stack.guard import guarded
from deploy.stack.part import Part
from deploy.stack.site import Site
from deploy.stack.stack import Stack, StackError

_FOREIGN = ("HEADWATER_", "KAFKA_", "REDIS_")
_KEPT = ("HEADWATER_DOWNLOADS", "HEADWATER_PYTHON")


class Server:
    """One part of a stack that comes back a moment after it was killed.

    Parameters
    ----------
    name: of the part: "kafka" or "redis".
    state: directory of its own.
    """

    def __init__(self, name: str, state: Path) -> None:
        environ = {k: v for k, v in os.environ.items() if k in _KEPT or not k.startswith(_FOREIGN)}
        self.name = name
        self.stack = Stack(Site.of({**environ, "HEADWATER_STATE": str(state)}))
        self.part: Part = next(part for part in self.stack.parts if part.name == name)
        self._guard = guarded(self.stack)
        self._held = threading.Lock()
        self._back_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name=f"{name} supervisor", daemon=True)
        self.kills = 0
        self.failed_starts: list[str] = []

    def __enter__(self) -> Self:
        self._guard.__enter__()
        self.stack.up([self.name])
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(60)
        self._guard.__exit__(kind, error, trace)

    def kill(self, away_s: float = 0.0, meanwhile: Callable[[], None] = lambda: None) -> bool:
        """SIGKILL it and have it started again after some seconds; False if it was not running.

        Parameters
        ----------
        meanwhile: done while it is dead.
        """
        with self._held:
            record = processes.load(self.part.pid_file)
            if record is None or record.process() is None:
                return False
            self._back_at = time.monotonic() + away_s
            os.killpg(record.pid, signal.SIGKILL)
            os.waitpid(record.pid, 0)
            self.kills += 1
            meanwhile()
        return True

    def back(self) -> None:
        """Have it started again now."""
        self._back_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether it serves."""
        try:
            return self.running and self.part.probe()
        except Exception:  # whatever the probe ran into
            return False

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        record = processes.load(self.part.pid_file)
        return record is not None and record.process() is not None

    def _supervise(self) -> None:
        while not self._stopping.wait(0.05):
            if self.running or time.monotonic() < self._back_at:
                continue
            try:
                with self._held:  # not while its files are being exchanged
                    pass
                self.stack.up([self.name])
            except (StackError, psutil.Error) as error:
                self.failed_starts.append(str(error)[:300])  # most likely killed while it started


class RewindableRedis(Server):
    """A Redis that can be set back to what it was a moment ago."""

    def __init__(self, state: Path) -> None:
        super().__init__("redis", state)
        self._data = state / "redis"
        self._copy = state / "redis-before"
        self.rewinds = 0

    def remember(self) -> None:
        """Copy its append-only files as they are now."""
        with redis.Redis.from_url(self.stack.site.redis_url, socket_timeout=5.0) as client:
            for _ in range(100):
                if not client.info("persistence")["aof_rewrite_in_progress"]:
                    break
                time.sleep(0.1)
            shutil.rmtree(self._copy, ignore_errors=True)
            shutil.copytree(self._data, self._copy)

    def set_back(self, away_s: float = 0.0) -> bool:
        """Kill it, put the copy in place, and have it started again."""
        done = self.kill(away_s, self._restore)
        self.rewinds += done
        return done

    def _restore(self) -> None:
        shutil.rmtree(self._data)
        self._copy.rename(self._data)
