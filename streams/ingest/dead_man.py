"""A switch that ends a process that has been asleep for too long, before it can wake.

A worker that is put to sleep (SIGSTOP, a frozen container, a suspended machine) loses its partitions once its session
is over. Redis refuses what it writes after that, but Kafka can't: what its client had packed for sending when it fell
asleep leaves as soon as it wakes, and would stand in the changelogs after its successor's records. So it must not wake:
the kernel keeps a timer that ends the process, and as long as the process is awake it winds the timer up again.
"""

import ctypes
import signal
import sys
import threading
import time
from types import TracebackType

from streams.contracts.observability import logger

log = logger(__name__)

_WINDS_PER_LEASE = 12
_SIGEV_SIGNAL = 0


class _Event(ctypes.Structure):
    """C's ``struct sigevent`` on Linux."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    )


class _Instant(ctypes.Structure):
    """C's ``struct timespec``."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    """C's ``struct itimerspec``."""

    _fields_ = (("interval", _Instant), ("value", _Instant))


class DeadManSwitch:
    """While it is on, this process is killed (SIGKILL) once it has not run for some seconds.

    Only Linux has what it takes; elsewhere nothing happens but a warning.

    Parameters
    ----------
    seconds: less than what it takes others to replace the process.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._off = threading.Event()
        self._thread = threading.Thread(target=self._keep_winding, name="dead man's switch", daemon=True)
        self._timer = ctypes.c_void_p()
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def __enter__(self) -> "DeadManSwitch":
        if self._libc is None:
            log.warning(
                "no dead man's switch on this system: a worker that sleeps may spoil the changelogs when it wakes"
            )
            return self
        event = _Event(signo=signal.SIGKILL, notify=_SIGEV_SIGNAL)
        # Its clock goes on while the machine is suspended.
        self._call("timer_create", time.CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer))
        self._wind(self.seconds)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._libc is not None:
            self._off.set()
            self._thread.join()
            self._call("timer_delete", self._timer)

    def _keep_winding(self) -> None:
        while not self._off.wait(self.seconds / _WINDS_PER_LEASE):
            self._wind(self.seconds)

    def _wind(self, seconds: float) -> None:
        value = _Instant(int(seconds), int(seconds % 1 * 1e9))
        self._call("timer_settime", self._timer, 0, ctypes.byref(_Setting(_Instant(0, 0), value)), None)

    def _call(self, function: str, *arguments: object) -> None:
        if getattr(self._libc, function)(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{function} failed; the dead man's switch can't be set")
