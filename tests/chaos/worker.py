"""A stream worker that kills itself, or puts itself to sleep, at a named step: `python -m tests.chaos.worker NAME DIR`.

What to do is told by the file DIR/NAME, ``kill customers 3``: SIGKILL before the third time that the step
"customers" is taken. What was done is appended to DIR/hits.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from prometheus_client import Counter

from streams.app import main as streams_main
from streams.contracts.observability import EVENTS, OFFLINE_ROWS

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Failpoint:
    """What `streams.ingest.steps` calls a step."""

    def __init__(self, name: str, directory: Path) -> None:
        self._name = name
        self._order = directory / name
        self._hits = directory / "hits"
        self._lock = threading.Lock()  # the offline writer's thread has steps too
        self._armed: tuple[str, str] | None = None
        self._left = 0

    def __call__(self, step: str) -> None:
        with self._lock:
            self._look()
            if self._armed is None or self._armed[1] != step:
                return
            self._left -= 1
            if self._left > 0:
                return
            how, self._armed = self._armed[0], None
            with self._hits.open("a") as file:
                file.write(f"{self._name}|{os.getpid()}|{how}|{step}\n")
            os.kill(os.getpid(), _SIGNALS[how])
            time.sleep(0.001)  # a signal to oneself may take a moment

    def _look(self) -> None:
        try:
            order = self._order.read_text()
        except FileNotFoundError:
            return
        self._order.unlink()
        how, nth, step = order.split(" ", 2)
        self._armed, self._left = (how, step), int(nth)


def _tell_counts(path: Path) -> None:
    """Write down what was counted, again and again; the last word of a killed worker is a moment old."""
    while True:
        time.sleep(0.2)
        counts = {sample.labels["outcome"]: sample.value for sample in _samples(EVENTS)}
        counts["offline"] = sum(sample.value for sample in _samples(OFFLINE_ROWS))
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(counts))
        draft.replace(path)


def _samples(counter: Counter) -> list[Any]:
    return [sample for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total")]


def _leave_with(parent: int) -> None:
    """End when the test that started this is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    name, directory = sys.argv[1], Path(sys.argv[2])
    counts = directory / "counts"
    counts.mkdir(parents=True, exist_ok=True)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    threading.Thread(target=_tell_counts, args=(counts / f"{os.getpid()}.json",), daemon=True).start()
    sys.argv = sys.argv[:1]  # Faust looks at it
    streams_main(Failpoint(name, directory))


if __name__ == "__main__":
    main()
