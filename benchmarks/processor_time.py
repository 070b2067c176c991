"""Processor time of each process of a stack, and the most memory it has held: what wall clocks can't tell apart."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from deploy.stack.stack import Stack


def processes(stack: Stack) -> dict[str, psutil.Process]:
    """Return the running parts of a stack by name."""
    return {each.name: psutil.Process(each.pid) for each in stack.status() if each.pid is not None}


class Meter:
    """Seconds of processor time that processes, with their children, have used since the meter was made."""

    def __init__(self, measured: Mapping[str, psutil.Process]) -> None:
        self._processes = dict(measured)
        self._before = {name: used(process) for name, process in measured.items()}

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each."""
        return {name: used(process) - self._before[name] for name, process in self._processes.items()}


def used(process: psutil.Process) -> float:
    """Return the seconds of processor time of a process and its children, those that have ended included."""
    times = process.cpu_times()
    seconds = times.user + times.system + times.children_user + times.children_system
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            its = child.cpu_times()
            seconds += its.user + its.system
    return float(seconds)


def peak_rss_mb(process: psutil.Process) -> float:
    """Return the most memory that a process has held so far, MiB, by the kernel's own account."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():  # not Linux: what it holds now
        return float(process.memory_info().rss / 2**20)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
