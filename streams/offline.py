"""The offline store: every accepted interaction once, as Parquet files by event date.

A range of one partition's offsets is written at once: first its files, each under its final name by rename, then
a marker that lists them. Only what a marker lists exists for readers, so a crash leaves nothing half-written.

::

    <path>/interactions/date=2017-01-31/<partition>-<from>-<to>.parquet
    <path>/commits/<partition>-<from>-<to>.json

Needs only pyarrow (15 or newer) and msgspec, because the trainer reads it too.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BACKFILL = -1
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
    """

    partition: int
    start: int
    stop: int
    rows: int
    files: tuple[str, ...] = ()
    newest_arrival: int = 0


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
    name = f"{partition}-{start}-{stop}"
    files = tuple(_write_days(path, table, name, before))
    newest = pc.max(table["arrival"]).as_py() if table.num_rows else 0
    commit = Commit(partition, start, stop, table.num_rows, files, newest)
    marker = path / "commits" / f"{name}.json"
    before(marker)
    _publish(marker, msgspec.json.encode(commit))
    return commit


def _write_days(path: Path, table: pa.Table, name: str, before: Callable[[Path], None]) -> Iterable[str]:
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
        _publish(path / relative, sink.getvalue())
        yield relative


def _publish(target: Path, content: bytes | pa.Buffer) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)


def commits(path: Path) -> list[Commit]:
    """Return the markers by partition and offset. A store that does not exist yet has none.

    Raises
    ------
    ValueError
        When a marker can't be read; names the file.
    """
    found = []
    for marker in (path / "commits").glob("*.json"):
        if marker.name.startswith("."):
            continue
        try:
            found.append(msgspec.json.decode(marker.read_bytes(), type=Commit))
        except msgspec.MsgspecError as error:
            raise ValueError(f"{marker} is no commit marker of the offline store: {error}") from error
    return sorted(found, key=lambda each: (each.partition, each.start, each.stop))


def positions(path: Path) -> dict[int, int]:
    """Return for each partition the offset before which everything is in the store; reads only file names."""
    found: dict[int, int] = {}
    for marker in (path / "commits").glob("*.json"):
        head, _, stop = marker.stem.rpartition("-")
        partition, _, _ = head.rpartition("-")
        if not marker.name.startswith("."):
            found[int(partition)] = max(found.get(int(partition), 0), int(stop))
    return found


def interactions(
    path: Path | str,
    until_arrival: int | None = None,
    until_time: int | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Read what is committed, each event once, in the order of partition, event date and offset range.

    Parameters
    ----------
    path: of the store.
    until_arrival: only events that arrived before this instant (microseconds since the epoch).
    until_time: only events that happened before this instant (microseconds since the epoch).
    columns: names of the wanted columns; default all.
    """
    root = Path(path)
    wanted = list(columns) if columns is not None else SCHEMA.names
    tables = []
    covered: dict[int, int] = {}
    for commit in commits(root):
        known = covered.get(commit.partition, commit.start)
        covered[commit.partition] = max(known, commit.stop)
        # Two workers may both have written a range, when one was taken for dead: the rows are the same.
        if commit.stop > known:
            newer_than = known if known > commit.start else None
            tables += [_read(root / file, wanted, until_arrival, until_time, newer_than) for file in commit.files]
    empty = pa.schema([SCHEMA.field(name) for name in wanted]).empty_table()
    return pa.concat_tables([empty, *tables])


def _read(
    file: Path, wanted: list[str], until_arrival: int | None, until_time: int | None, first: int | None
) -> pa.Table:
    bounds = (
        ("arrival", until_arrival, pc.less),
        ("time", until_time, pc.less),
        ("offset", first, pc.greater_equal),
    )
    active = [(name, bound, keeps) for name, bound, keeps in bounds if bound is not None]
    needed = list(dict.fromkeys([*wanted, *(name for name, _, _ in active)]))
    table = pq.read_table(file, columns=needed, partitioning=None)
    for name, bound, keeps in active:
        table = table.filter(keeps(table[name], bound))
    return table.select(wanted).cast(pa.schema([SCHEMA.field(name) for name in wanted]))


def remove_orphans(path: Path, partition: int, older_than_s: float = 3600.0) -> int:
    """Delete files of a partition that no marker lists; return how many there were.

    Young ones are left: a worker that was taken for dead may be about to publish them.
    """
    listed = {file for commit in commits(path) if commit.partition == partition for file in commit.files}
    removed = 0
    for pattern in (f"interactions/*/{partition}-*.parquet", f"interactions/*/.{partition}-*.draft"):
        for file in path.glob(pattern):
            orphan = str(file.relative_to(path)) not in listed
            if orphan and time.time() - file.stat().st_mtime > older_than_s:
                file.unlink(missing_ok=True)
                removed += 1
    return removed
