"""What takes longer than an answer for now does not hold one up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from serving.gateway.answering import Answering
from serving.gateway.asking import answered
from serving.gateway.explanations import found
from serving.gateway.problems import Problem
from serving.gateway.state import Gateway
from streams.contracts.codec import decode
from streams.contracts.requests import RecommendationRequest, Reply, ServedRecord
from tests.serving.gateway.test_answering import Gate

NOON = 1_700_000_000_000_000


class Parted:
    """A gateway's two threads, each with a gate in the place of its service, and what they recorded."""

    def __init__(self) -> None:
        self.now, self.then = Gate(), Gate()
        self.recorded: dict[str, ServedRecord] = {}
        self.answering, self.aside = (self._thread(name, gate) for name, gate in (("a", self.now), ("b", self.then)))
        self.engine = SimpleNamespace(shop=SimpleNamespace(category=None))
        self.served = SimpleNamespace(find=self.recorded.get)

    def _thread(self, name: str, gate: Gate) -> Answering:
        return Answering(name, cast(Any, gate), length=9, batch=9, record=self._record)

    def _record(self, answer: Any) -> None:
        self.recorded[answer.served.recommendation_id] = answer.served

    async def ask(self, customer: str, as_of: int | None) -> Reply:
        response = await answered(cast(Gateway, self), RecommendationRequest(customer_id=customer), as_of)
        return decode(bytes(response.body), Reply)


@pytest.fixture
def gateway() -> Iterator[Parted]:
    parted = Parted()
    parted.answering.start()
    parted.aside.start()
    yield parted
    parted.now.open.set()
    parted.then.open.set()
    parted.answering.stop()
    parted.aside.stop()


def test_answers_for_another_moment_wait_for_each_other_only(gateway: Parted) -> None:
    gateway.now.open.set()

    async def ask() -> list[str]:
        then = asyncio.ensure_future(gateway.ask("then", NOON))
        await asyncio.to_thread(gateway.then.entered.acquire)  # it is at work, and comes to no end
        now = [(await gateway.ask(f"now {place}", None)).correlation_id for place in range(3)]
        assert not then.done()
        gateway.then.open.set()
        return [*now, (await then).correlation_id]

    assert len(set(asyncio.run(ask()))) == 4
    assert [len(batch) for batch in gateway.now.batches] == [1, 1, 1]
    assert [len(batch) for batch in gateway.then.batches] == [1]


def test_an_answer_is_found_whichever_thread_gave_it(gateway: Parted) -> None:
    gateway.now.open.set()
    gateway.then.open.set()

    async def look() -> None:
        for as_of in (None, NOON):
            reply = await gateway.ask("ann", as_of)
            record = await found(cast(Gateway, gateway), reply.recommendation_id)
            assert record.recommendation_id == reply.recommendation_id
        with pytest.raises(Problem) as unknown:
            await found(cast(Gateway, gateway), "never given")
        assert unknown.value.status_code == 404

    asyncio.run(look())
