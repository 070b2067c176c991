"""Answers made in a thread, in batches of what waits; the event loop only waits for them.

The queue is bounded twice: by its length, and by how long what is in it will take at the pace of the last batches. Who
would wait in vain is told so at once.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from serving.gateway.problems import busy
from serving.inbox import Asked
from serving.service import Answer, Service
from streams.contracts.observability import GATEWAY_QUEUE, logger

log = logger(__name__)

T = TypeVar("T")

PATIENCE_S = 1.0
"""Longer than this nobody is kept waiting: it is the default deadline of a request."""
SMOOTHING = 0.2
"""Weight of the newest batch in the pace."""


@dataclass(frozen=True)
class _Task:
    """A request to be answered, or work to be done beside requests, and who waits for it."""

    work: Asked | Callable[[], Any]
    done: asyncio.Future[Any]


class Answering:
    """One thread that answers.

    Parameters
    ----------
    name
        Of the thread, and of its queue among the metrics.
    service
        Makes the answers; used by no other thread.
    length
        Tasks that may wait.
    batch
        Requests answered together.
    record
        Told every answer, after who asked; what is asked of the thread next finds it recorded.
    """

    def __init__(
        self, name: str, service: Service, *, length: int, batch: int, record: Callable[[Answer], None]
    ) -> None:
        self._service, self._length, self._batch, self._record = service, length, batch, record
        self._waiting: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._pace_s = 0.0
        self._gauge = GATEWAY_QUEUE.labels(name)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._busy_since: float | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what waits, then end the thread."""
        self._waiting.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    @property
    def waiting(self) -> int:
        """Tasks that nobody has begun yet."""
        return self._waiting.qsize()

    @property
    def stuck_s(self) -> float:
        """Seconds for which the thread has been at one batch; infinite where it is dead."""
        if not self._thread.is_alive():
            return math.inf
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    async def answer(self, asked: Asked) -> Answer:
        """Have a request answered; raises Problem 503 where that would take too long."""
        found: Answer = await self._put(asked)
        return found

    async def run(self, work: Callable[[], T]) -> T:
        """Have something done that takes the models or the items, between two batches; raises as `answer`."""
        found: T = await self._put(work)
        return found

    def _put(self, work: Asked | Callable[[], Any]) -> asyncio.Future[Any]:
        waiting = self.waiting
        expected_s = waiting * self._pace_s
        if waiting >= self._length or expected_s > PATIENCE_S:
            raise busy(f"{waiting} requests are waiting already", after_s=max(1, math.ceil(expected_s)))
        done = asyncio.get_running_loop().create_future()
        self._waiting.put(_Task(work, done))
        self._gauge.set(waiting + 1)
        return done

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            self._busy_since = time.monotonic()
            tasks, ended = self._taken(first)
            self._do(tasks)
            self._busy_since = None
            if ended:
                return

    def _taken(self, first: _Task) -> tuple[list[_Task], bool]:
        """Up to a batch of what waits, and whether the end was among it."""
        tasks = [first]
        while len(tasks) < self._batch:
            try:
                task = self._waiting.get_nowait()
            except queue.Empty:
                break
            if task is None:
                return tasks, True
            tasks.append(task)
        return tasks, False

    def _do(self, tasks: Sequence[_Task]) -> None:
        """Answer the requests among the tasks together, and do the rest one by one."""
        started = time.monotonic()
        wanted = [task for task in tasks if not task.done.cancelled()]  # nobody waits for the others any more
        asked = [(task, task.work) for task in wanted if isinstance(task.work, Asked)]
        if asked:
            answers = self._service.answer([request for _, request in asked])
            self._tell([(task.done, answer) for (task, _), answer in zip(asked, answers, strict=True)])
            for answer in answers:
                self._record(answer)
        for task in wanted:
            if not isinstance(task.work, Asked):
                self._tell([(task.done, _outcome(task.work))])
        took_s = (time.monotonic() - started) / len(tasks)
        self._pace_s += SMOOTHING * (took_s - self._pace_s)

    def _tell(self, results: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
        try:
            results[0][0].get_loop().call_soon_threadsafe(self._resolve, results, self.waiting)
        except RuntimeError as error:  # the loop has ended, and with it everybody who waited
            log.warning("answers came too late", answers=len(results), why=str(error))

    def _resolve(self, results: Sequence[tuple[asyncio.Future[Any], Any]], waiting: int) -> None:
        self._gauge.set(waiting)
        for done, result in results:
            if done.cancelled():
                continue
            if isinstance(result, Exception):
                done.set_exception(result)
            else:
                done.set_result(result)


def _outcome(work: Callable[[], Any]) -> Any:
    """What the work returned, or the exception that it raised."""
    try:
        return work()
    except Exception as error:
        return error
