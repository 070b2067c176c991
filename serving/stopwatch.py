"""Seconds by stage."""

from __future__ import annotations

import time


class Stopwatch:
    """Adds up the seconds of each named stage; it starts with the first one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap, or since the start, for `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now
