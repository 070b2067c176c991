"""A run on disk: what it is, whose lists it makes, and which parts of it are done.

::

    <output>/run.json            what the lists depend on; a run that is continued must agree with it
    <output>/customers.parquet   the customers, in order
    <output>/part-00000.parquet  lists of the first customers (or .csv)
    <output>/submission.csv      format hm only: all parts in one file, once they are done

A part appears under its name by rename, so whatever has that name is whole, and is not done again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from serving.bulk.formats import SUBMISSION, Format, encoded, submission
from streams.contracts.events import instant
from streams.files import publish

RUN, CUSTOMERS, LOCK = "run.json", "customers.parquet", ".lock"


class RunError(ValueError):
    """A run that cannot be begun or continued as asked; the message says what differs and the way out."""


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that the lists of a run depend on.

    Attributes
    ----------
    shop, model: the profile's name and the bundle's version.
    as_of: instant of all lists, microseconds since the epoch.
    n, candidates: items in a list, and how many are scored for each customer at most.
    format: of the files.
    part: customers in a part.
    customers, sha256: how many, and the digest of their ids in order.
    """

    shop: str
    model: int
    as_of: int
    n: int
    candidates: int
    format: Format
    part: int
    customers: int
    sha256: str

    @property
    def parts(self) -> int:
        """How many there are, done or not."""
        return -(-self.customers // self.part)

    def bounds(self, part: int) -> tuple[int, int]:
        """The first customer of a part and the one behind its last."""
        return part * self.part, min((part + 1) * self.part, self.customers)


def digest(ids: Sequence[str]) -> str:
    """SHA-256 of ids in order, in hexadecimal."""
    found = hashlib.sha256()
    for name in ids:
        found.update(name.encode() + b"\0")
    return found.hexdigest()


class Output:
    """The directory of a run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others out, for as long as this process or one that it forked lives.

        Raises RunError where another run is at work here.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"{self.directory}: another run is at work here; wait for it") from None
            yield
        finally:
            os.close(descriptor)

    def begun(self) -> Run | None:
        """What was begun here before; None where nothing was. Raises RunError where something else is here."""
        path = self.directory / RUN
        if path.exists():
            try:
                return msgspec.json.decode(path.read_bytes(), type=Run)
            except msgspec.MsgspecError as error:
                raise RunError(f"{path} does not describe a run: {error}; take another directory") from error
        strangers = [each.name for each in self.directory.glob("*") if each.name not in (CUSTOMERS, LOCK)]
        if strangers:
            raise RunError(f"{self.directory} holds {strangers[0]!r}, which no run has written; take another directory")
        return None

    def customers(self) -> list[str]:
        """The ids that the run was begun for."""
        ids: list[str] = pq.read_table(self.directory / CUSTOMERS)["customer_id"].to_pylist()
        return ids

    def begin(self, run: Run, ids: Sequence[str]) -> None:
        """Begin a run, or continue it: raises RunError naming what differs from what was begun here."""
        before = self.begun()
        if before is None:
            sink = pa.BufferOutputStream()
            pq.write_table(pa.table({"customer_id": pa.array(ids, pa.string())}), sink, compression="zstd")
            publish(self.directory / CUSTOMERS, sink.getvalue())
            publish(self.directory / RUN, msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
        elif before != run:
            old, new = msgspec.to_builtins(before), msgspec.to_builtins(run)
            for each in (old, new):
                each["as_of"] = f"{instant(each['as_of']):%Y-%m-%dT%H:%M:%S.%fZ}"
            told = ", ".join(f"{name} {old[name]} (now {new[name]})" for name in old if old[name] != new[name])
            raise RunError(f"{self.directory} was begun with {told}: ask for the same, or take another --output")
        for draft in self.directory.glob(".*.draft"):  # of a run that was killed
            draft.unlink(missing_ok=True)

    def path(self, run: Run, part: int) -> Path:
        """The file of a part."""
        return self.directory / f"part-{part:05d}{run.format.suffix}"

    def missing(self, run: Run) -> list[int]:
        """Parts that are not done."""
        return [part for part in range(run.parts) if not self.path(run, part).exists()]

    def write(self, run: Run, part: int, lists: pa.Table) -> None:
        """Publish a part."""
        publish(self.path(run, part), encoded(lists, run.format))

    def finish(self, run: Run) -> Path:
        """What all parts make up, once they are done: the submission's file, else the directory."""
        if run.format is not Format.HM:
            return self.directory
        submission((self.path(run, part) for part in range(run.parts)), self.directory / SUBMISSION)
        return self.directory / SUBMISSION
