"""The producer of events as a process of its own, started and stopped by a benchmark."""

import json
import subprocess
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import psutil

from deploy.demo.world import World
from deploy.stack.site import ROOT


class ShopProcess:
    """`benchmarks.producer` at work from entering to leaving; left early, it is stopped.

    Parameters
    ----------
    rate, seconds: events a second, and for how long.
    ramp: seconds before those in which the rate grows from nothing.
    start: events before this instant are left out, microseconds since the epoch.
    without: customers who are left out.
    name: put before event ids.
    """

    def __init__(
        self,
        world: World,
        rate: float,
        seconds: float,
        ramp: float = 0.0,
        start: int | None = None,
        without: Iterable[str] = (),
        name: str = "",
    ) -> None:
        arguments = [world.source_name, "--rate", str(rate), "--seconds", str(seconds)]
        arguments += ["--ramp", str(ramp), "--name", name]
        if start is not None:
            arguments += ["--start", str(start)]
        if left_out := ",".join(without):
            arguments += ["--without", left_out]
        self._command = [sys.executable, "-m", "benchmarks.producer", *arguments]
        self._environment = world.environment
        self._process: subprocess.Popen[str] | None = None
        self._at_rate = False

    def __enter__(self) -> "ShopProcess":
        self._process = subprocess.Popen(
            self._command, env=self._environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        if self._line() != "begun":
            raise RuntimeError(f"the producer did not begin: {' '.join(self._command)}")
        return self

    def _line(self) -> str:
        if self._process is None or self._process.stdout is None:
            raise RuntimeError("the producer is not running; enter it first")
        return self._process.stdout.readline().strip()

    @property
    def process(self) -> psutil.Process:
        """The process."""
        if self._process is None:
            raise RuntimeError("the producer is not running; enter it first")
        return psutil.Process(self._process.pid)

    def wait_at_rate(self) -> None:
        """Wait until it sends as many events a second as it was asked to.

        Raises
        ------
        RuntimeError
            When it failed; it has said why on its standard error.
        """
        if not self._at_rate and self._line() != "at rate":
            raise RuntimeError(f"the producer failed: {' '.join(self._command)}")
        self._at_rate = True

    def result(self) -> dict[str, Any]:
        """Wait for its end and return what it says of itself; see `benchmarks.producer.send`.

        Raises
        ------
        RuntimeError
            When it failed; it has said why on its standard error.
        """
        self.wait_at_rate()
        line = self._line()
        if not line:
            raise RuntimeError(f"the producer failed: {' '.join(self._command)}")
        found: dict[str, Any] = json.loads(line)
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
