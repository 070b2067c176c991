"""What only one process may do at a time, and workers not meanwhile: a lease in Redis that is renewed while it is held.

Two keys. ``hw:backfilling`` is the lease: it is gone a few seconds after its holder is. ``hw:unfinished`` says that
the stores are being filled and stays until they are: what a killed run leaves behind is not taken for whole.
"""

import os
import socket
import threading
from types import TracebackType

import redis

from feature_repo.redis_commands import Client, Script, call, send
from streams.contracts.observability import logger

log = logger(__name__)

LEASE_KEY = b"hw:backfilling"
"""There while somebody fills the stores."""

UNFINISHED_KEY = b"hw:unfinished"
"""What began to fill the stores and has not ended; workers take up nothing until it has."""

LEASE_S = 15.0
"""Seconds after which the lease of a killed process is free."""

_RENEW = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

_RELEASE = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")


class HeldElsewhereError(RuntimeError):
    """Somebody else is filling the stores."""


class Lease:
    """A context in which nobody else fills the stores.

    Parameters
    ----------
    what: the command, for messages.
    seconds: how long it holds without being renewed.

    Raises
    ------
    HeldElsewhereError: on entering, if another process has it.
    """

    def __init__(self, client: Client, what: str, seconds: float = LEASE_S) -> None:
        self._client = client
        self._token = f"{what} by process {os.getpid()} on {socket.gethostname()}".encode()
        self._seconds = seconds
        self._over = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        milliseconds = int(self._seconds * 1000)
        if not send(self._client, [(b"SET", LEASE_KEY, self._token, b"NX", b"PX", milliseconds)])[0]:
            holder = send(self._client, [(b"GET", LEASE_KEY)])[0] or b"somebody"
            raise HeldElsewhereError(
                f"under way already: {holder.decode()}. If that was killed, try again in {self._seconds:.0f} s"
            )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        try:
            send(self._client, [call(_RELEASE, LEASE_KEY, self._token)], script=_RELEASE)
        except redis.RedisError:
            log.warning("a lease was left to run out", seconds=self._seconds)

    def check(self) -> None:
        """Raise if the lease ran out, as when Redis was away for longer than it lasts.

        Raises
        ------
        HeldElsewhereError: it did; nothing more must be written.
        """
        if self._lost.is_set():
            raise HeldElsewhereError("the lease ran out while Redis could not be reached; run the command again")

    def _renew(self) -> None:
        while not self._over.wait(self._seconds / 4):
            command = call(_RENEW, LEASE_KEY, self._token, int(self._seconds * 1000))
            try:
                if not send(self._client, [command], script=_RENEW)[0]:
                    self._lost.set()
                    return
            except redis.RedisError as error:
                log.warning("a lease could not be renewed", error=str(error))


def under_way(client: Client) -> str | None:
    """Return what is filling the stores, or was and did not end; None if nothing."""
    holder, unfinished = send(client, [(b"GET", LEASE_KEY), (b"GET", UNFINISHED_KEY)])
    if holder is not None:
        return f"{holder.decode()} is filling the stores"
    if unfinished is not None:
        return f"{unfinished.decode()} has begun to fill the stores and did not end: run it again"
    return None


def mark_unfinished(client: Client, what: str) -> None:
    """Say that the stores are not whole from now on."""
    send(client, [(b"SET", UNFINISHED_KEY, what.encode())])


def mark_finished(client: Client) -> None:
    """Say that the stores are whole."""
    send(client, [(b"DEL", UNFINISHED_KEY)])
