"""The streams' process beside a gateway: what is published there is applied to the same Redis."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.serving.gateway.running import RunningGateway
from tests.serving.running import until
from tests.serving.triton_server import ROOT, free_ports, stop


class Streams:
    """`python -m streams.app` on a gateway's topics and Redis."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self._log = gateway.log.with_name("streams.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self) -> None:
        """Start the process and wait until it says that it is ready."""
        (self._port,) = free_ports(1)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams.app"],
                cwd=ROOT,
                env=dict(os.environ) | self._gateway.environment() | {"HEADWATER_METRICS_PORT": str(self._port)},
                stdout=log,
                stderr=log,
            )
        until(self._ready)

    def stop(self) -> None:
        """End it, so that nothing is applied any more."""
        if self._process is not None:
            stop(self._process)
            self._process = None

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-4000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as page:
                return b"\nheadwater_ready 1.0" in page.read()
        except (urllib.error.URLError, ConnectionError):
            return False


@contextmanager
def streams_of(gateway: RunningGateway) -> Iterator[Streams]:
    """The process, started; ended when left."""
    streams = Streams(gateway)
    streams.start()
    try:
        yield streams
    finally:
        streams.stop()
