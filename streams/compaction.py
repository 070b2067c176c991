"""Compaction of the offline store: many small ranges become one, and rows of erased customers leave the disk.

A pass rewrites ranges beside themselves, publishes the marker of what it wrote, and only then retires the markers
that this replaces; their files stay for a grace period, for readers that are still at them. Whoever reads finds a
range, or what covers it, or both, and each event once (`streams.offline.distinct`). So a pass may be killed anywhere:
what it had not published is an orphan, what it had not retired is covered and retired by the next one.
"""

import fcntl
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from streams import offline
from streams.contracts.observability import logger
from streams.erasure import erasures
from streams.erasure.erasures import Ledger
from streams.files import publish
from streams.ingest.steps import Step, pass_by
from streams.offline import Commit

log = logger(__name__)

_SMALL = 1_000


class Compaction(NamedTuple):
    """How to compact.

    Attributes
    ----------
    fan_in: so many neighbouring ranges of a size, or smaller, are merged.
    full: a range of so many rows is not merged any more.
    grace_s: seconds for which replaced files stay.
    """

    fan_in: int = 8
    full: int = 500_000
    grace_s: float = 3600.0


DEFAULT = Compaction()


class Done(NamedTuple):
    """What a pass did: ranges merged away, ranges freed of erased rows, such rows removed, files removed."""

    merged: int = 0
    swept: int = 0
    erased_rows: int = 0
    removed_files: int = 0


class Compactor:
    """Compacts one store.

    Parameters
    ----------
    path: of the store.
    step: called with the name of each step before it is taken.
    """

    def __init__(self, path: Path, how: Compaction = DEFAULT, step: Step = pass_by) -> None:
        self._path = path
        self._how = how
        self._step = step

    def run(self) -> Done | None:
        """Do one pass; None if there is no store yet, or another process is at it."""
        if not (self._path / "commits").is_dir():
            return None
        with locked(self._path) as mine:
            return self._pass() if mine else None

    def _pass(self) -> Done:
        self._retire_covered()
        ledger = erasures.read(self._path)
        merged = swept = rows = 0
        for group in plan(offline.commits(self._path), self._how):
            rows += self._rewrite(group, ledger)
            merged += len(group) - 1
        for commit in offline.commits(self._path):
            if not _unswept(commit, ledger):
                continue
            if erased := self._erased_rows(commit, ledger):
                self._rewrite([commit], ledger)
                swept, rows = swept + 1, rows + erased
            else:
                self._step("sweep")
                offline.write_marker(self._path, msgspec.structs.replace(commit, swept=ledger.reach()))
        done = Done(merged, swept, rows, self._remove_retired())
        if any(done):
            log.info("offline store compacted", **done._asdict())
        return done

    def _rewrite(self, group: Sequence[Commit], ledger: Ledger) -> int:
        """Write a run of ranges as one; return how many rows of erased customers that left out."""
        start, stop = min(each.start for each in group), max(each.stop for each in group)
        wide = Commit(group[0].partition, start, stop, 0, swept=ledger.reach())
        suffix = uuid.uuid4().hex[:8]
        by_date: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for commit, first in offline.distinct(group):
            for file in commit.files:
                by_date[Path(file).parent.name].append((file, first if first > commit.start else 0))
        files: list[str] = []
        left_out = newest = 0
        for date in sorted(by_date):
            table, erased = self._read(by_date[date], ledger)
            left_out += erased
            if table.num_rows:
                newest = max(newest, pc.max(table["arrival"]).as_py())
                wide = msgspec.structs.replace(wide, rows=wide.rows + table.num_rows)
                files += offline.write_days(self._path, table, f"{wide.name}-{suffix}", self._before_file)
        wide = msgspec.structs.replace(wide, files=tuple(files), newest_arrival=newest)
        for commit in group:
            if commit.name == wide.name:  # its marker is replaced by the new one: its files must not be forgotten
                self._retire(commit)
        self._step("marker")
        offline.write_marker(self._path, wide)
        self._withdraw(commit for commit in group if commit.name != wide.name)
        return left_out

    def _read(self, files: Sequence[tuple[str, int]], ledger: Ledger) -> tuple[pa.Table, int]:
        """Return the rows of some files, each from an offset on, and how many more are erased."""
        nobody = Ledger()
        tables = [
            offline.read_file(
                self._path / file, offline.SCHEMA.names, [("offset", first or None, pc.greater_equal)], nobody
            )
            for file, first in files
        ]
        table = pa.concat_tables(tables)
        kept = erasures.without_erased(table, ledger)
        return kept, table.num_rows - kept.num_rows

    def _erased_rows(self, commit: Commit, ledger: Ledger) -> int:
        found = 0
        for file in commit.files:
            table = offline.read_file(self._path / file, erasures.COLUMNS, [], Ledger())
            found += table.num_rows - erasures.without_erased(table, ledger).num_rows
        return found

    def _before_file(self, file: Path) -> None:
        self._step("file")

    def _retire_covered(self) -> None:
        found = offline.commits(self._path)
        self._withdraw(each for each in found if any(other.covers(each) for other in found if other.name != each.name))

    def _withdraw(self, replaced: Iterable[Commit]) -> None:
        """Take the markers away of ranges that another one covers."""
        for commit in replaced:
            self._retire(commit)
            self._step("withdraw")
            offline.marker_of(self._path, commit).unlink(missing_ok=True)

    def _retire(self, commit: Commit) -> None:
        """Note down which files are to be removed once the grace period is over."""
        self._step("retire")
        name = f"{commit.name}-{uuid.uuid4().hex[:8]}.json"
        publish(self._path / "retired" / name, msgspec.json.encode(commit))

    def _remove_retired(self) -> int:
        """Remove the files whose time has come, unless a marker lists them after all."""
        listed = {file for commit in offline.commits(self._path) for file in commit.files}
        removed = 0
        for marker in sorted((self._path / "retired").glob("*.json")):
            if marker.name.startswith(".") or time.time() - marker.stat().st_mtime < self._how.grace_s:
                continue
            for file in offline.read_marker(marker).files:
                if file not in listed and (self._path / file).exists():
                    self._step("remove")
                    (self._path / file).unlink()
                    removed += 1
            marker.unlink()
        return removed


def plan(found: Iterable[Commit], how: Compaction) -> list[list[Commit]]:
    """Return which neighbouring ranges to merge.

    Ranges are merged when enough of one size, or smaller, stand side by side, so that a row is rewritten only as
    often as its range grows by a power of the fan-in.
    """
    groups: list[list[Commit]] = []
    ordered = sorted(found, key=lambda each: (each.partition, each.start, each.stop))
    for _, commits in groupby(ordered, key=lambda each: each.partition):
        side_by_side: list[list[Commit]] = []
        for commit in commits:
            if side_by_side and commit.start > max(each.stop for each in side_by_side[-1]):
                groups += side_by_side
                side_by_side = []
            side_by_side.append([commit])
            _merge_tail(side_by_side, how)
        groups += side_by_side
    return [group for group in groups if len(group) > 1]


def _merge_tail(groups: list[list[Commit]], how: Compaction) -> None:
    while True:
        size = _size(groups[-1], how)
        first = len(groups)
        while first > 0 and _size(groups[first - 1], how) <= size and _rows(groups[first - 1]) < how.full:
            first -= 1
        if len(groups) - first < how.fan_in:
            return
        groups[first:] = [[commit for group in groups[first:] for commit in group]]


def _rows(group: Sequence[Commit]) -> int:
    return sum(commit.rows for commit in group)


def _size(group: Sequence[Commit], how: Compaction) -> int:
    rows, size = _rows(group), 0
    while rows >= _SMALL * how.fan_in**size:
        size += 1
    return size


def _unswept(commit: Commit, ledger: Ledger) -> bool:
    """Tell whether customers were erased since whose rows the range may hold."""
    reach = ledger.reach()
    if commit.partition == offline.BACKFILL:
        return any(at > commit.swept.get(partition, 0) for partition, at in reach.items())
    name = str(commit.partition)
    return reach.get(name, 0) > max(commit.swept.get(name, 0), commit.start + 1)


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Keep other processes from compacting the store; yields whether nobody else is. The lock ends with the process.

    Parameters
    ----------
    wait: until nobody else is; for those who replace the store.
    """
    path.mkdir(parents=True, exist_ok=True)
    handle = os.open(path / ".compaction", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
