"""How far a training has come, in one small file that anyone may read while it runs."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

FILE = "training.json"
_WRITE_EVERY_S = 0.5


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the trainer does or did last.

    Attributes
    ----------
    triggers
        Ids of the triggers it answers.
    outcome
        "" while it runs, then ok, rejected, skipped or failed.
    phase, share
        What it does now and how much of that is done, 0 to 1.
    seconds
        By phase, what has been done already.
    message
        What a person should know about the outcome.
    """

    triggers: tuple[str, ...] = ()
    outcome: str = ""
    phase: str = ""
    share: float = 0.0
    seconds: dict[str, float] = {}
    version: int | None = None
    message: str = ""


def read(state: Path) -> Status | None:
    """The status of the trainer of a state directory, None if it never trained."""
    try:
        return msgspec.json.decode((state / FILE).read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError):
        return None


class Report:
    """Writes the status, at most a few times a second; `finish` always."""

    def __init__(self, state: Path, triggers: tuple[str, ...]) -> None:
        self._path = state / FILE
        self._triggers = triggers
        self._written = 0.0
        self.seconds: dict[str, float] = {}

    def progress(self, phase: str, share: float) -> None:
        """The phase that runs and how much of it is done."""
        if time.monotonic() - self._written > _WRITE_EVERY_S:
            self._write(Status(self._triggers, "", phase, share, self.seconds))

    def phase(self, name: str, seconds: float) -> None:
        """A phase that is over."""
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 3)
        self._write(Status(self._triggers, "", name, 1.0, self.seconds))

    def finish(self, outcome: str, version: int | None = None, message: str = "") -> None:
        """The end of it."""
        self._write(Status(self._triggers, outcome, "", 1.0, self.seconds, version, message))

    def _write(self, status: Status) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(status))
        draft.replace(self._path)
        self._written = time.monotonic()
