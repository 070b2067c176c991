"""Accepted events on their way into the offline store: buffered by partition, written in the background."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.events import Events
from streams import offline
from streams.contracts.events import Interaction
from streams.contracts.observability import OFFLINE_ROWS
from streams.files import probe
from streams.ingest.steps import Step, pass_by

_MARKER_BYTES = 65_536
"""More than a range's markers and directories take."""


@dataclass
class _Buffer:
    """Events of the offsets `[start, stop)` of one partition that no file holds yet."""

    start: int
    stop: int
    opened_at: float
    rows: int = 0
    tables: list[pa.Table] = field(default_factory=list)


class OfflineWriter:
    """Buffers events and writes them as offset ranges, one file at a time in a thread of its own.

    Parameters
    ----------
    path: of the offline store.
    max_rows: a buffer of so many events is written at once.
    max_age_s: seconds after which even a small buffer is written.
    step: see `streams.ingest.steps`.
    """

    def __init__(self, path: Path, max_rows: int = 50_000, max_age_s: float = 5.0, step: Step = pass_by) -> None:
        self._step = step
        self._path = path
        self._max_rows = max_rows
        self._max_age_s = max_age_s
        self._buffers: dict[int, _Buffer] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="offline")
        self._writing: dict[int, Future[offline.Commit]] = {}
        self._missing = 0

    def open(self, partition: int, start: int) -> None:
        """Begin with a partition at the offset from which its events are handed in; forget what was buffered."""
        self._settle(partition)
        self._buffers[partition] = _Buffer(start, start, time.monotonic())

    def add(self, partition: int, stop: int, accepted: pa.Table | None) -> None:
        """Hand in what was accepted up to the offset `stop`; offsets that are in the store already are left out."""
        buffer = self._buffers[partition]
        if stop <= buffer.stop:
            return
        if accepted is not None and accepted.num_rows:
            offsets = accepted["offset"].to_numpy()
            first = int(np.searchsorted(offsets, buffer.stop))
            buffer.tables.append(accepted.slice(first))
            buffer.rows += accepted.num_rows - first
        buffer.stop = stop

    def due(self) -> list[int]:
        """Return the partitions whose buffer is large or old enough and is not being written."""
        now = time.monotonic()
        return [
            partition
            for partition, buffer in self._buffers.items()
            if buffer.stop > buffer.start
            and partition not in self._writing
            and (buffer.rows >= self._max_rows or now - buffer.opened_at >= self._max_age_s)
        ]

    @property
    def rows(self) -> int:
        """Events buffered and not handed to the writing thread, over all partitions."""
        return sum(buffer.rows for buffer in self._buffers.values())

    def flush(self, partition: int) -> None:
        """Start writing a partition's buffer; `finished` tells when it is in the store."""
        buffer = self._buffers[partition]
        self._settle(partition)
        if buffer.stop == buffer.start:
            return
        self._buffers[partition] = _Buffer(buffer.stop, buffer.stop, time.monotonic())
        self._writing[partition] = self._thread.submit(self._write, partition, buffer)

    def probe(self) -> None:
        """Make sure, after a failure, that there is room for what could not be written.

        Raises
        ------
        OSError: there is none; what would be read again could not be written again.
        """
        if self._missing:
            probe(self._path, self._missing)
            self._missing = 0

    def finished(self, wait: bool = False) -> dict[int, int]:
        """Return for each partition whose writing has ended the offset before which all is in the store.

        Raises
        ------
        OSError: a file could not be written; nothing of that range is in the store.
        """
        done = [partition for partition, future in self._writing.items() if wait or future.done()]
        return {partition: self._writing.pop(partition).result().stop for partition in done}

    def close(self, partition: int) -> None:
        """Forget a partition once what is being written of it is done."""
        self._settle(partition)
        self._buffers.pop(partition, None)

    def stop(self) -> None:
        """Wait for the writing thread and end it."""
        self._thread.shutdown(wait=True)

    def _settle(self, partition: int) -> None:
        future = self._writing.pop(partition, None)
        if future is not None:
            future.exception()  # only waits: what was not written is read and written again

    def _write(self, partition: int, buffer: _Buffer) -> offline.Commit:
        table = pa.concat_tables([offline.SCHEMA.empty_table(), *buffer.tables])
        try:
            commit = offline.write_range(
                self._path, table, partition, buffer.start, buffer.stop, self._before_publishing
            )
        except OSError:
            self._missing = max(_MARKER_BYTES, table.nbytes)
            raise
        self._step("offline written")
        OFFLINE_ROWS.inc(commit.rows)
        return commit

    def _before_publishing(self, file: Path) -> None:
        self._step("offline marker" if file.suffix == ".json" else "offline file")


def accepted_table(
    partition: int, interactions: Sequence[Interaction], events: Events, chosen: npt.NDArray[Any]
) -> pa.Table:
    """Return the chosen events as rows of the offline store.

    Parameters
    ----------
    interactions, events: the same `e` events, as messages and as columns.
    chosen: ``int64[k]``, ascending.
    """
    some = [interactions[at] for at in chosen.tolist()]
    n = len(some)
    ratings = [each.rating for each in some]
    columns = [
        pa.array([each.event_id for each in some], pa.string()),
        pa.array([each.customer_id for each in some], pa.string()),
        pa.array([each.item_id for each in some], pa.string()),
        pa.array([each.type.value for each in some], pa.string()),
        pa.array(events.time[chosen]),
        pa.array(events.quantity[chosen]),
        pa.array(events.amount[chosen].astype(np.int64)),
        pa.array(ratings, pa.float32()),
        pa.array([each.session_id for each in some], pa.string()),
        pa.array([_context(each.context) for each in some], pa.string()),
        pa.array([each.recommendation_id for each in some], pa.string()),
        pa.array(events.arrival[chosen]),
        pa.array(np.full(n, partition, dtype=np.int32)),
        pa.array(events.offset[chosen]),
    ]
    return pa.Table.from_arrays(columns, schema=offline.SCHEMA)


def _context(context: dict[str, str]) -> str:
    return msgspec.json.encode(context, order="sorted").decode() if context else "{}"
