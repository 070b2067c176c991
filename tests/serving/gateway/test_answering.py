"""The queue before the thread that answers: in batches, bounded, and nobody waits in vain."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from serving.gateway.answering import Answering
from serving.gateway.problems import Problem
from serving.inbox import Address, Asked, Position
from serving.service import Answer
from streams.contracts.requests import RecommendationRequest, Reply, ServedRecord, Status


def asked(name: str) -> Asked:
    return Asked(RecommendationRequest(customer_id=name), Position("", -1, -1, 0), Address(""), name, name, None)


class Gate:
    """In the place of the service: answers once it is opened, and remembers the batches."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.batches: list[list[str]] = []
        self.entered = threading.Semaphore(0)

    def answer(self, batch: Sequence[Asked]) -> list[Answer]:
        self.batches.append([each.correlation_id for each in batch])
        self.entered.release()
        assert self.open.wait(30)
        return [answer(each) for each in batch]


def answer(to: Asked) -> Answer:
    name = to.correlation_id
    reply = Reply(correlation_id=name, recommendation_id=name, customer_id=name, status=Status.OK, items=[])
    served = ServedRecord(
        recommendation_id=name, correlation_id=name, customer_id=name, served_at=0, request=to.request, reply=reply
    )
    return Answer(to, reply, served)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def recorded() -> list[str]:
    return []


@pytest.fixture
def answering(gate: Gate, recorded: list[str]) -> Iterator[Answering]:
    found = Answering(
        "answering",
        gate,
        length=5,
        batch=3,
        record=lambda each: recorded.append(each.reply.correlation_id),  # type: ignore[arg-type]
    )
    found.start()
    yield found
    gate.open.set()
    found.stop()


def test_what_waits_is_answered_together_each_its_own(answering: Answering, gate: Gate, recorded: list[str]) -> None:
    async def all_at_once() -> list[str]:
        first = asyncio.ensure_future(answering.answer(asked("a")))
        await asyncio.to_thread(gate.entered.acquire)
        rest = [asyncio.ensure_future(answering.answer(asked(name))) for name in "bcdef"]
        await asyncio.sleep(0)
        gate.open.set()
        return [found.reply.correlation_id for found in await asyncio.gather(first, *rest)]

    assert asyncio.run(all_at_once()) == list("abcdef")
    assert gate.batches == [["a"], ["b", "c", "d"], ["e", "f"]]
    assert recorded == list("abcdef")


def test_beyond_its_length_it_refuses_at_once_and_takes_again_later(answering: Answering, gate: Gate) -> None:
    async def too_many() -> Problem:
        first = asyncio.ensure_future(answering.answer(asked("a")))
        await asyncio.to_thread(gate.entered.acquire)
        rest = [asyncio.ensure_future(answering.answer(asked(name))) for name in "bcdef"]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await answering.answer(asked("one too many"))
        gate.open.set()
        await asyncio.gather(first, *rest)
        assert (await answering.answer(asked("later"))).reply.correlation_id == "later"
        return refused.value

    problem = asyncio.run(too_many())
    assert (problem.status_code, problem.code) == (503, "busy")
    assert problem.headers is not None
    assert int(problem.headers["Retry-After"]) >= 1


def test_who_would_wait_longer_than_a_second_is_refused(gate: Gate) -> None:
    answering = Answering("answering", gate, length=1000, batch=1, record=lambda _: None)  # type: ignore[arg-type]
    answering._pace_s = 0.4  # as after batches that took so long
    gate.open.set()

    async def crowd() -> list[Any]:
        tasks = [asyncio.ensure_future(answering.answer(asked(str(place)))) for place in range(10)]
        await asyncio.sleep(0)
        answering.start()
        return await asyncio.gather(*tasks, return_exceptions=True)

    try:
        found = asyncio.run(crowd())
    finally:
        answering.stop()
    assert [isinstance(each, Answer) for each in found] == [True] * 3 + [False] * 7
    assert {each.status_code for each in found[3:]} == {503}


def test_what_nobody_waits_for_any_more_is_not_done(answering: Answering, gate: Gate) -> None:
    async def gives_up() -> None:
        first = asyncio.ensure_future(answering.answer(asked("a")))
        await asyncio.to_thread(gate.entered.acquire)
        second = asyncio.ensure_future(answering.answer(asked("b")))
        await asyncio.sleep(0)
        second.cancel()
        gate.open.set()
        await first
        await answering.answer(asked("c"))

    asyncio.run(gives_up())
    assert [name for batch in gate.batches for name in batch] == ["a", "c"]


def test_work_beside_requests_returns_or_raises(answering: Answering, gate: Gate) -> None:
    gate.open.set()

    def fails() -> None:
        raise Problem(404, "gone", "gone")

    async def both() -> None:
        assert await answering.run(lambda: threading.current_thread().name) == "answering"
        with pytest.raises(Problem, match="gone"):
            await answering.run(fails)
        assert (await answering.answer(asked("after"))).reply.status is Status.OK

    asyncio.run(both())


def test_a_thread_that_hangs_is_seen(answering: Answering, gate: Gate) -> None:
    assert answering.stuck_s == 0.0

    async def hangs() -> None:
        waiting = asyncio.ensure_future(answering.answer(asked("a")))
        await asyncio.to_thread(gate.entered.acquire)
        before = answering.stuck_s
        time.sleep(0.01)
        assert answering.stuck_s > before > 0
        gate.open.set()
        await waiting

    asyncio.run(hangs())
    answering.stop()
    assert answering.stuck_s == float("inf")
