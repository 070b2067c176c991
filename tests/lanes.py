"""`make test`: the tests in lanes side by side, because most of them wait more than they compute.

A lane is a pytest of its own, with servers of its own. What it prints comes at once, a line at a time, after the
lane's name. `python -m tests.lanes streams chaos` runs only these.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

ROOT = Path(__file__).resolve().parents[1]
MAIN, TRAINER = ROOT / ".venv" / "bin" / "python", ROOT / ".venv-trainer" / "bin" / "python"

AT_ONCE = 3
"""Lanes side by side on two cores; with more, each test only takes longer."""

GRACE_S = 60.0
"""For a lane that is told to end to take its servers down."""


@dataclass(frozen=True)
class Lane:
    """Tests that one pytest runs one after the other.

    Attributes
    ----------
    paths: directories and files; everything if there are none.
    without: what of that other lanes run.
    marked: pytest's ``-m``.
    """

    name: str
    paths: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    python: Path = MAIN
    marked: str = "not trainer"

    def command(self) -> list[str]:
        """How it is run."""
        # No cache of what failed last: each lane's would be written over another's.
        options = ["-m", self.marked, "-p", "no:cacheprovider", *(f"--ignore={path}" for path in self.without)]
        return [str(self.python), "-m", "pytest", *options, *self.paths]


def lanes() -> list[Lane]:
    """All lanes, the longest first. One of them has whatever is in no other, so that no test is left out."""
    hot_path = tuple(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/streams/test_ingest*.py")))
    docs, client = "tests/streams/test_docs.py", "tests/serving/rest_client"
    service = "tests/e2e/test_trainer_service.py"
    ingest = Lane("ingest", hot_path)
    serving = Lane("serving", ("tests/serving",), without=(client,))
    streams = Lane("streams", ("tests/streams",), without=(*hot_path, docs))
    chaos = Lane("chaos", ("tests/chaos", service))
    # What needs the whole stack shares one; what does not is not slowed by it.
    stack = Lane("stack", ("tests/deploy", "tests/e2e", docs, client), without=(service,))
    trainer = Lane("trainer", ("tests/trainer",), python=TRAINER, marked="trainer")
    others = (ingest, serving, streams, chaos, stack, trainer)
    rest = Lane("rest", without=tuple(path for lane in others for path in lane.paths))
    return [ingest, serving, streams, chaos, rest, stack, trainer]


@dataclass(frozen=True)
class Outcome:
    """How a lane ended: pytest's exit status, its seconds, and those of processors that it and its servers took."""

    lane: Lane
    status: int
    seconds: float
    processor_s: float

    def __str__(self) -> str:
        verdict = "passed" if self.status == 0 else f"FAILED: pytest ended with {self.status}"
        return f"{self.lane.name:10} {self.seconds:5.0f} s ({self.processor_s:4.0f} s of processors)  {verdict}"


class Run:
    """Takes lanes in their order, so many side by side."""

    def __init__(self, wanted: Sequence[Lane], at_once: int = AT_ONCE) -> None:
        self._wanted, self._at_once = wanted, at_once
        self._width = max(len(lane.name) for lane in wanted)
        self._waiting: SimpleQueue[Lane] = SimpleQueue()
        self._ended: SimpleQueue[Outcome] = SimpleQueue()
        self._printing = threading.Lock()
        self._running: dict[str, int] = {}

    def all(self) -> list[Outcome]:
        """Run them; how each ended, in the order in which they did."""
        for lane in self._wanted:
            self._waiting.put(lane)
        for _ in range(self._at_once):
            threading.Thread(target=self._work, daemon=True).start()
        try:
            return [self._ended.get() for _ in self._wanted]
        except BaseException as error:
            self._end(told=isinstance(error, KeyboardInterrupt))  # the terminal's Ctrl-C is for the lanes too
            raise

    def _end(self, told: bool) -> None:
        """Begin no other lane, and wait until those that run have ended, with their servers."""
        while not self._waiting.empty():
            self._waiting.get()
        if not told:
            self._send(signal.SIGINT)
        until = time.monotonic() + GRACE_S
        while self._running and time.monotonic() < until:
            time.sleep(0.1)
        self._send(signal.SIGKILL)  # the servers have guards

    def _send(self, number: signal.Signals) -> None:
        for pid in list(self._running.values()):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _work(self) -> None:
        while True:
            try:
                lane = self._waiting.get_nowait()
            except Empty:
                return
            try:
                self._ended.put(self._one(lane))
            except OSError as error:  # no such interpreter
                self._print(lane, str(error).encode())
                self._ended.put(Outcome(lane, 127, 0.0, 0.0))

    def _one(self, lane: Lane) -> Outcome:
        began = time.monotonic()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": str(117 - self._width)}
        process = subprocess.Popen(
            lane.command(), cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._running[lane.name] = process.pid
        assert process.stdout is not None
        rest = b""
        # As much as there is at a time: a traceback stays in one piece.
        while some := os.read(process.stdout.fileno(), 1 << 20):
            whole, newline, rest = (rest + some).rpartition(b"\n")
            self._print(lane, whole + newline)
        self._print(lane, rest)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        del self._running[lane.name]
        return Outcome(lane, process.returncode, time.monotonic() - began, used.ru_utime + used.ru_stime)

    def _print(self, lane: Lane, output: bytes) -> None:
        with self._printing:
            for line in output.decode(errors="replace").splitlines():
                print(f"{lane.name:{self._width}} | {line}", flush=True)


def main() -> None:
    """Run the lanes that are named, or all; exit with 1 if one failed."""
    named, known = sys.argv[1:], {lane.name: lane for lane in lanes()}
    if unknown := set(named) - set(known):
        sys.exit(f"no lane {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored, and so would the lanes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    outcomes = Run([known[name] for name in named or known]).all()
    print("", *outcomes, sep="\n")
    sys.exit(any(each.status for each in outcomes))


if __name__ == "__main__":
    main()
