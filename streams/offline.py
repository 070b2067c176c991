"""The offline store: every accepted interaction once, as Parquet files by event date.

A range of one partition's offsets is written at once: first its files, each under its final name by rename, then
a marker that lists them. Only what a marker lists exists for readers, so a crash leaves nothing half-written.
Compaction (`streams.compaction`) merges ranges: the marker of the wider one appears before those it covers go, and
their files go later still. What the ledger of erasures says is gone, no reader sees.

::

    <path>/interactions/date=2017-01-31/<partition>-<from>-<to>[-<rewriting>].parquet
    <path>/commits/<partition>-<from>-<to>.json
    <path>/retired/<partition>-<from>-<to>-<rewriting>.json
    <path>/erasures/<partition>-<first>-<last>.json

Needs only pyarrow (15 or newer) and msgspec, because the trainer reads it too.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.erasure import erasures
from streams.files import publish

BACKFILL = erasures.BACKFILL
"""Partition of what was written in bulk, before the stream began."""

DAY = 86_400_000_000
"""Microseconds in a day."""

SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("time", pa.int64(), nullable=False),  # event time, microseconds since the epoch
        pa.field("quantity", pa.int32(), nullable=False),
        pa.field("amount", pa.int64(), nullable=False),  # the line's minor units, -1: unknown
        pa.field("rating", pa.float32()),
        pa.field("session_id", pa.string()),
        pa.field("context", pa.string(), nullable=False),  # a JSON object
        pa.field("recommendation_id", pa.string()),
        pa.field("arrival", pa.int64(), nullable=False),  # microseconds since the epoch
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
    ]
)
"""Columns of the store."""


class Commit(msgspec.Struct, frozen=True, rename={"start": "from", "stop": "to"}):
    """A marker: the offsets `[start, stop)` of a partition are in the store.

    Attributes
    ----------
    rows: accepted events among them.
    files: their files, relative to the store.
    newest_arrival: microseconds since the epoch; 0 without rows.
    swept: partition (as a string) -> offset; of customers who were erased there before it no row is in the files.
    """

    partition: int
    start: int
    stop: int
    rows: int
    files: tuple[str, ...] = ()
    newest_arrival: int = 0
    swept: dict[str, int] = {}

    @property
    def name(self) -> str:
        """What the marker's file is called, without its suffix."""
        return f"{self.partition}-{self.start}-{self.stop}"

    def covers(self, other: "Commit") -> bool:
        """Tell whether another range of the same partition lies in this one."""
        return self.partition == other.partition and self.start <= other.start and other.stop <= self.stop


def write_range(
    path: Path,
    table: pa.Table,
    partition: int,
    start: int,
    stop: int,
    before: Callable[[Path], None] = lambda file: None,
) -> Commit:
    """Write the accepted events of the offsets `[start, stop)` of one partition and publish them.

    Parameters
    ----------
    path: of the store.
    table: with the columns of `SCHEMA`; may have no rows.
    before: called with each file, the marker last, before it is written.
    """
    commit = Commit(partition, start, stop, table.num_rows)
    files = tuple(write_days(path, table, commit.name, before))
    newest = pc.max(table["arrival"]).as_py() if table.num_rows else 0
    commit = msgspec.structs.replace(commit, files=files, newest_arrival=newest)
    before(marker_of(path, commit))
    write_marker(path, commit)
    return commit


def marker_of(path: Path, commit: Commit) -> Path:
    """Return where a commit's marker is."""
    return path / "commits" / f"{commit.name}.json"


def write_marker(path: Path, commit: Commit) -> None:
    """Let a range exist, or be what this marker says instead of what another of the same name said."""
    publish(marker_of(path, commit), msgspec.json.encode(commit))


def write_days(path: Path, table: pa.Table, name: str, before: Callable[[Path], None]) -> Iterator[str]:
    """Write a file for each date of event time, its rows in the order of time; yield their names within the store."""
    days = np.floor_divide(table["time"].to_numpy(), DAY)
    order = np.lexsort((np.arange(len(days)), table["time"].to_numpy(), days))
    table, days = table.take(pa.array(order)), days[order]
    starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1)) if len(days) else np.zeros(0, dtype=np.int64)
    for first, end in zip(starts, np.append(starts, len(days))[1:], strict=True):
        date = np.datetime64(int(days[first]), "D")
        relative = f"interactions/date={date}/{name}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(table.slice(first, end - first), sink, compression="zstd")
        before(path / relative)
        publish(path / relative, sink.getvalue())
        yield relative


def commits(path: Path) -> list[Commit]:
    """Return the markers by partition and offset. A store that does not exist yet has none.

    Raises
    ------
    ValueError
        When a marker can't be read; names the file.
    """
    while True:
        try:
            found = [read_marker(path / "commits" / name) for name in markers(path)]
        except FileNotFoundError:  # merged into another just now
            continue
        return sorted(found, key=lambda each: (each.partition, each.start, each.stop))


def read_marker(marker: Path) -> Commit:
    """Read one marker; raises as `commits`, and FileNotFoundError."""
    try:
        return msgspec.json.decode(marker.read_bytes(), type=Commit)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{marker} is no commit marker of the offline store: {error}") from error


def markers(path: Path) -> set[str]:
    """Return the names of the markers' files, such that no range is missing for being merged meanwhile.

    A directory that changes while it is listed may show neither a new marker nor those that it replaced. What is
    there before a listing begins is shown by it, so two equal listings lack nothing.
    """
    before: set[str] | None = None
    while True:
        found = {marker.name for marker in (path / "commits").glob("*.json") if not marker.name.startswith(".")}
        if found == before:
            return found
        before = found


def positions(path: Path) -> dict[int, int]:
    """Return for each partition the offset before which everything is in the store; reads only file names."""
    found: dict[int, int] = {}
    for name in markers(path):
        head, _, stop = name.removesuffix(".json").rpartition("-")
        partition, _, _ = head.rpartition("-")
        found[int(partition)] = max(found.get(int(partition), 0), int(stop))
    return found


def distinct(found: Iterable[Commit]) -> Iterator[tuple[Commit, int]]:
    """Yield the commits whose rows are needed to have each event once, with the offset from which to take them.

    Two workers may both have written a range, when one was taken for dead, and a range that was merged may still have
    its own marker: the rows are the same.
    """
    covered: dict[int, int] = {}
    for commit in sorted(found, key=lambda each: (each.partition, each.start, -each.stop)):
        known = covered.get(commit.partition, commit.start)
        covered[commit.partition] = max(known, commit.stop)
        if commit.stop > known:
            yield commit, max(known, commit.start)


def interactions(
    path: Path | str,
    until_arrival: int | None = None,
    until_time: int | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Read what is committed and not erased, each event once, in the order of partition, offset range and event date.

    Parameters
    ----------
    path: of the store.
    until_arrival: only events that arrived before this instant (microseconds since the epoch).
    until_time: only events that happened before this instant (microseconds since the epoch).
    columns: names of the wanted columns; default all.
    """
    wanted = list(columns) if columns is not None else SCHEMA.names
    empty = pa.schema([SCHEMA.field(name) for name in wanted]).empty_table()
    return pa.concat_tables([empty, *parts(path, until_arrival, until_time, wanted)])


def parts(
    path: Path | str,
    until_arrival: int | None = None,
    until_time: int | None = None,
    columns: Sequence[str] = tuple(SCHEMA.names),
) -> Iterator[pa.Table]:
    """Yield what `interactions` reads a file at a time, for those who need not have all of it in memory."""
    root = Path(path)
    bounds = [("arrival", until_arrival, pc.less), ("time", until_time, pc.less)]
    ledger = erasures.read(root)
    for commit, first in distinct(commits(root)):
        after = ("offset", first if first > commit.start else None, pc.greater_equal)
        for file in commit.files:
            yield read_file(root / file, columns, [*bounds, after], ledger)


def rows_from(path: Path, commit: Commit, first: int) -> int:
    """Return how many rows of a range have an offset from `first` on."""
    offsets = [pq.read_table(path / file, columns=["offset"], partitioning=None)["offset"] for file in commit.files]
    return sum(int(np.count_nonzero(column.to_numpy() >= first)) for column in offsets)


Bound = tuple[str, int | None, Callable[..., Any]]
"""A column, a value, and the comparison that its rows must stand; without a value all do."""


def read_file(file: Path, wanted: Sequence[str], bounds: Sequence[Bound], ledger: erasures.Ledger) -> pa.Table:
    """Read the rows of one file that stand all bounds and are not erased."""
    active = [(name, bound, keeps) for name, bound, keeps in bounds if bound is not None]
    needed = [*wanted, *(name for name, _, _ in active), *(erasures.COLUMNS if ledger else ())]
    table = pq.read_table(file, columns=list(dict.fromkeys(needed)), partitioning=None)
    for name, bound, keeps in active:
        table = table.filter(keeps(table[name], bound))
    table = erasures.without_erased(table, ledger)
    return table.select(wanted).cast(pa.schema([SCHEMA.field(name) for name in wanted]))


def remove_orphans(path: Path, partition: int, older_than_s: float = 3600.0) -> int:
    """Delete files of a partition that no marker lists; return how many there were.

    Young ones are left: a worker that was taken for dead may be about to publish them. So are those that were
    retired: readers may still be at them, and compaction removes them in time.
    """
    listed = {file for commit in [*commits(path), *retired(path)] for file in commit.files}
    removed = 0
    for pattern in (f"interactions/*/{partition}-*.parquet", f"interactions/*/.{partition}-*.draft"):
        for file in path.glob(pattern):
            orphan = str(file.relative_to(path)) not in listed
            if orphan and time.time() - file.stat().st_mtime > older_than_s:
                file.unlink(missing_ok=True)
                removed += 1
    return removed


def retired(path: Path) -> Iterator[Commit]:
    """Yield the markers that were replaced, until their files are removed."""
    for marker in (path / "retired").glob("*.json"):
        if not marker.name.startswith("."):
            with contextlib.suppress(FileNotFoundError):
                yield read_marker(marker)
