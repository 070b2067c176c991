"""Start, find and stop processes that outlive the command that started them."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Record:
    """What is written down of a started process.

    `created` (seconds since the epoch, by the kernel) tells the process from a later one with its pid.
    """

    pid: int
    created: float

    def process(self) -> psutil.Process | None:
        """The process if it still runs, else None."""
        try:
            process = psutil.Process(self.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE and process.create_time() == self.created
        except psutil.NoSuchProcess:
            return None
        return process if alive else None

    def save(self, path: Path) -> None:
        """Write to `path` as JSON."""
        path.write_text(json.dumps(asdict(self)) + "\n")


def load(path: Path) -> Record | None:
    """The record at `path`, None if there is none."""
    try:
        return Record(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None


def start(command: Sequence[str], log: Path, environment: Mapping[str, str], cwd: Path) -> Record:
    """Start `command` in a session of its own, its output to `log`; the last run's becomes ``.log.1``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
    # The record finds it again; Popen's warning about a child still running is not meant for servers.
    process.returncode = 0
    return Record(process.pid, psutil.Process(process.pid).create_time())


def _signal_group(record: Record, number: signal.Signals) -> None:
    # The leader may be gone while its children run. If its pid is somebody else's by now, so is the group.
    with contextlib.suppress(psutil.NoSuchProcess):
        if psutil.Process(record.pid).create_time() != record.created:
            return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(record.pid, number)


def _group_is_empty(record: Record) -> bool:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == record.pid and process.status() != psutil.STATUS_ZOMBIE:
                return False
    return True


def _reap(record: Record) -> None:
    """Collect an ended process where it is our child; else it would stay as a zombie while we live."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(record.pid, 0)


def stop(record: Record, grace_s: float) -> bool:
    """SIGTERM the process group, SIGKILL what is left after `grace_s`; True if SIGTERM was enough."""
    _signal_group(record, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while not (gentle := _group_is_empty(record)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if not gentle:
        _signal_group(record, signal.SIGKILL)
        while not _group_is_empty(record):
            time.sleep(0.05)
    _reap(record)
    return gentle


def tail(log: Path, lines: int = 25) -> str:
    """The last `lines` of `log`, reading at most its last 64 KiB."""
    if not log.exists():
        return "(no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 65_536))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
