"""The stream workers: real processes that are killed, put to sleep, armed with failpoints, and replaced."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from deploy.stack.processes import tail
from deploy.stack.site import ROOT
from streams.settings import Settings

_GRACE_S = 60.0


@dataclass
class Slot:
    """A place in the fleet and the process that fills it now, if any."""

    name: str
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    leaving_since: float = 0.0
    asleep: bool = False
    back_at: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether its process runs (or sleeps)."""
        return self.process is not None and self.process.poll() is None


class Fleet:
    """As many workers as wanted; who dies is replaced.

    Parameters
    ----------
    environment: of the workers.
    directory: for logs, failpoints and counts.
    """

    def __init__(self, environment: Mapping[str, str], directory: Path, seed: int) -> None:
        self._environment = dict(environment)
        self._directory = directory
        self._rng = random.Random(seed)
        self._slots = [Slot(f"worker-{at}", directory / f"worker-{at}.log") for at in range(3)]
        self._wanted = 0
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="fleet", daemon=True)
        self.kills = 0
        self.pauses = 0
        self.starts = 0
        self.peak_rss = 0
        self.own_exits: list[str] = []
        self.stuck: list[str] = []
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Fleet":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(10)
        for slot in self._slots:
            if slot.alive and slot.process is not None:
                slot.process.kill()
                slot.process.wait()

    @property
    def wanted(self) -> int:
        """How many workers there should be."""
        return self._wanted

    def scale(self, workers: int) -> None:
        """Have so many workers from now on: the others are told to leave."""
        with self._lock:
            self._wanted = workers

    def leave(self, timeout_s: float = 120.0) -> None:
        """Have all workers leave in order, and wait until they have.

        Raises
        ------
        TimeoutError: one did not.
        """
        self.scale(0)
        until = time.monotonic() + timeout_s
        while any(slot.alive for slot in self._slots):
            if time.monotonic() > until:
                raise TimeoutError(f"workers did not leave within {timeout_s:.0f} s; see {self._directory}")
            time.sleep(0.1)

    def kill(self) -> bool:
        """SIGKILL any worker."""
        with self._lock:
            slot = self._any()
            if slot is None or slot.process is None:
                return False
            self._kill(slot)
            self.kills += 1
            return True

    def arm(self, how: str, step: str, nth: int) -> list[Slot]:
        """Have any one worker kill or stop itself at the n-th time that a step comes; return whom, if anyone."""
        with self._lock:
            slot = self._any()
            if slot is None:
                return []
            self._order(slot, how, step, nth)
            return [slot]

    def arm_all(self, how: str, step: str) -> list[Slot]:
        """Have every worker that comes to a step, also one that is about to start, kill or stop itself there."""
        with self._lock:
            slots = self._slots[: self._wanted]
            for slot in slots:
                self._order(slot, how, step, 1)
            return slots

    def _order(self, slot: Slot, how: str, step: str, nth: int) -> None:
        draft = self._directory / f"{slot.name}.draft"
        draft.write_text(f"{how} {nth} {step}")
        draft.replace(self._directory / slot.name)

    def disarm(self, slot: Slot) -> None:
        """Take a failpoint back that nobody has seen yet."""
        (self._directory / slot.name).unlink(missing_ok=True)

    def pause(self) -> Slot | None:
        """SIGSTOP any worker."""
        with self._lock:
            slot = self._any()
            if slot is None or slot.process is None:
                return None
            slot.process.send_signal(signal.SIGSTOP)
            slot.asleep = True
            self.pauses += 1
            return slot

    def wait_asleep(self, slot: Slot, timeout_s: float) -> bool:
        """Wait until a worker that was armed with "stop" has put itself to sleep."""
        before, until = self.stops(slot.name), time.monotonic() + timeout_s
        while self.stops(slot.name) == before:
            if time.monotonic() > until:
                self.disarm(slot)
                return False
            time.sleep(0.01)
        slot.asleep = True
        self.pauses += 1
        return True

    def wake(self, slot: Slot) -> bool:
        """SIGCONT; False if the worker has ended in its sleep."""
        with self._lock:
            asleep, slot.asleep = slot.asleep and slot.alive, False
            if asleep and slot.process is not None:
                slot.process.send_signal(signal.SIGCONT)
            return asleep

    def hits(self, how: str = "kill") -> "Counter[str]":
        """Step -> how often a worker has killed (or stopped) itself there."""
        return Counter(step for _, action, step in self._hits() if action == how)

    def stops(self, name: str) -> int:
        """How often a worker has put itself to sleep."""
        return sum(1 for who, action, _ in self._hits() if who == name and action == "stop")

    def counts(self) -> "Counter[str]":
        """Events read by outcome, over all processes there ever were; what they counted last may be missing."""
        total: Counter[str] = Counter()
        for file in (self._directory / "counts").glob("*.json"):
            total.update({name: int(count) for name, count in json.loads(file.read_text()).items()})
        return total

    def _hits(self) -> list[tuple[str, str, str]]:
        path = self._directory / "hits"
        if not path.exists():
            return []
        found = []
        for line in path.read_text().splitlines():
            name, _, how, step = line.split("|")
            found.append((name, how, step))
        return found

    def _any(self) -> Slot | None:
        awake = [slot for slot in self._slots[: self._wanted] if slot.alive and not slot.asleep]
        return self._rng.choice(awake) if awake else None

    def _kill(self, slot: Slot) -> None:
        if slot.process is not None:
            slot.process.kill()
            slot.process.wait()

    def _supervise(self) -> None:
        while not self._stopping.wait(0.1):
            with self._lock:
                for at, slot in enumerate(self._slots):
                    self._measure(slot)
                    self._tend(slot, wanted=at < self._wanted)

    def _tend(self, slot: Slot, *, wanted: bool) -> None:
        if slot.alive:
            if not wanted:
                self._see_off(slot)
            return
        self._collect(slot, wanted=wanted)
        if wanted and time.monotonic() >= slot.back_at:
            slot.leaving_since, slot.asleep = 0.0, False
            slot.process = self._start(slot)
            self.starts += 1

    def _collect(self, slot: Slot, *, wanted: bool) -> None:
        """Note how a process ended."""
        if slot.process is None:
            return
        code, slot.process = slot.process.returncode, None
        slot.back_at = time.monotonic() + self._rng.uniform(0, 1.0)
        if code != -signal.SIGKILL and (wanted or code != 0):
            self.own_exits.append(f"{slot.name} ended with {code} by itself: {_last_words(slot.log)}")

    def _see_off(self, slot: Slot) -> None:
        """Tell a worker to leave; one that doesn't is stuck."""
        if slot.process is None:
            return
        if slot.leaving_since == 0.0:
            slot.leaving_since = time.monotonic()
            slot.process.send_signal(signal.SIGCONT)
            slot.process.terminate()
        elif time.monotonic() - slot.leaving_since > _GRACE_S:
            self.stuck.append(f"{slot.name} did not leave within {_GRACE_S:.0f} s: {_last_words(slot.log)}")
            self._kill(slot)

    def _start(self, slot: Slot) -> "subprocess.Popen[bytes]":
        with slot.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.worker", slot.name, str(self._directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=ROOT,
                start_new_session=True,  # the terminal's Ctrl-C is for the test
            )

    def _measure(self, slot: Slot) -> None:
        if not slot.alive or slot.process is None:
            return
        try:
            status = Path(f"/proc/{slot.process.pid}/status").read_text()
        except OSError:
            return
        peak = next((line for line in status.splitlines() if line.startswith("VmHWM:")), None)
        if peak is not None:
            self.peak_rss = max(self.peak_rss, int(peak.split()[1]) * 1024)


def _last_words(log: Path) -> str:
    """What a worker said last, without what Kafka's client says all the time."""
    lines = [line for line in tail(log, 200).splitlines() if not line.startswith("%")]
    return " ".join(lines[-3:])[-600:]


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a worker: the developer's, without what it says of another installation."""
    foreign = ("HEADWATER_", "KAFKA_", "REDIS_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "REDIS_URL": settings.redis_url,
        "HEADWATER_STATE": str(settings.state),
        "HEADWATER_SHOP": settings.shop,
        "HEADWATER_CLOCK": settings.clock,
        "HEADWATER_TRAIN_EVERY_SECONDS": str(settings.train_every_seconds),
        "PYTHONUNBUFFERED": "1",
    }
