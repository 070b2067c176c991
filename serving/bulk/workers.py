"""Processes that make the parts of a run, one part each at a time.

They are forked from one that has all items in memory, so they share it and see the same items; what cannot be shared
(models, connections) each opens for itself. Where one fails the others are ended too: what is done stays done.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

import pyarrow as pa

from serving.algebra import on_one_thread
from serving.bulk.lists import Lister
from serving.bulk.run import Output, Run

POLL_S = 0.3
_FORK = multiprocessing.get_context("fork")


class WorkerError(RuntimeError):
    """A worker failed; the message holds what it said."""


class Workers:
    """Makes the parts of `run` that are missing.

    Parameters
    ----------
    customers
        ``string[n]``, all of the run's.
    make
        Called once in each process.
    batch
        Customers computed together.

    Attributes
    ----------
    parts
        Those that were missing.
    """

    def __init__(
        self, output: Output, run: Run, customers: pa.Array, make: Callable[[], Lister], batch: int, processes: int
    ) -> None:
        self._output, self._run, self._customers, self._make, self._batch = output, run, customers, make, batch
        self.parts = output.missing(run)
        self._next, self._done = _FORK.Value("q", 0), _FORK.Value("q", 0)
        self._processes = min(processes, len(self.parts))

    def progress(self) -> Iterator[int]:
        """Work, and yield now and then how many customers' lists were made by now; the last tells all.

        Raises WorkerError.
        """
        started = [self._start() for _ in range(self._processes)]
        try:
            running = dict(started)
            while running:
                ended = wait([process.sentinel for process in running], POLL_S)
                yield int(self._done.value)
                for process in [each for each in running if each.sentinel in ended]:
                    _check(process, running.pop(process))
        finally:
            for process, _ in started:
                process.terminate()
            for process, _ in started:
                process.join()
        yield int(self._done.value)

    def _start(self) -> tuple[ForkProcess, Connection]:
        ours, theirs = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=self._work, args=(os.getpid(), theirs), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    def _work(self, parent: int, failure: Connection) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
        on_one_thread()
        try:
            lister = self._make()
            while os.getppid() == parent and (part := self._take()) is not None:
                ids = self._customers.slice(self._run.bounds(part)[0], self._run.part).to_pylist()
                if (lists := self._part(lister, ids, parent)) is not None:
                    self._output.write(self._run, part, lists)
        except Exception:
            failure.send(traceback.format_exc())
            raise SystemExit(1) from None

    def _part(self, lister: Lister, ids: Sequence[str], parent: int) -> pa.Table | None:
        """The lists of a part; None where nobody is there any more who wants them."""
        tables: list[Any] = []
        for start in range(0, len(ids), self._batch):
            if os.getppid() != parent:
                return None
            tables.append(lister.lists(ids[start : start + self._batch]))
            with self._done.get_lock():
                self._done.value += tables[-1].num_rows
        return pa.concat_tables(tables)

    def _take(self) -> int | None:
        with self._next.get_lock():
            place = self._next.value
            self._next.value += 1
        return self.parts[place] if place < len(self.parts) else None


def _check(process: ForkProcess, failure: Connection) -> None:
    process.join()
    if process.exitcode == 0:
        return
    try:
        said = failure.recv()
    except EOFError:
        said = f"it ended with {process.exitcode}, which below 0 is a signal: -9 may be for want of memory"
    raise WorkerError(f"a worker failed; what is done stays, and the same command goes on from there\n{said}")
