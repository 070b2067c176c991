"""A stream taken as it comes: one alone at once, many together, none acknowledged before it was dealt with."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import faust
from faust.events import Event
from faust.types import Message

from streams.at_once import at_once

Work = Callable[[Any, list[list[Event]]], Any]


async def _event(app: faust.App, offset: int) -> Event:
    message = Message("items", 0, offset, time.time(), 0, {}, b"key", b"value", None, generation_id=0)
    message.incref()
    return Event(app, b"key", offset, {}, message)


def taken(work: Work, most: int) -> list[list[Event]]:
    """Batches that an agent takes of a stream while `work` has its way with the stream's channel."""

    async def run() -> list[list[Event]]:
        # Nothing is connected to: the broker is named so that there is a consumer to acknowledge to.
        app = faust.App("at-once", broker="kafka://127.0.0.1:1", store="memory://", web_enabled=False)
        app.flow_control.resume()
        stream = app.channel(value_type=bytes).stream()
        batches: list[list[Event]] = []

        async def agent() -> None:
            async for events in at_once(stream, most):
                batches.append(list(events))
                await asyncio.sleep(0.01)

        task = asyncio.create_task(agent())
        await asyncio.sleep(0.05)
        try:
            await work(stream.channel, batches)
        finally:
            task.cancel()
        return batches

    async def within() -> list[list[Event]]:
        return await asyncio.wait_for(run(), 30)

    return asyncio.run(within())


async def put(channel: Any, *offsets: int) -> None:
    for offset in offsets:
        await channel.put(await _event(channel.app, offset))


async def until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.001)


def test_one_alone_waits_for_no_other() -> None:
    async def work(channel: Any, batches: list[list[Event]]) -> None:
        for offset in range(3):
            await put(channel, offset)
            await until(lambda: len(batches) == offset + 1)  # noqa: B023 - asked before the next turn

    assert [[event.value for event in batch] for batch in taken(work, 100)] == [[0], [1], [2]]


def test_many_are_taken_together_in_order_and_not_too_many() -> None:
    async def work(channel: Any, batches: list[list[Event]]) -> None:
        await put(channel, *range(250))
        await until(lambda: sum(map(len, batches)) == 250)

    batches = taken(work, 100)
    assert [event.value for batch in batches for event in batch] == list(range(250))
    assert max(map(len, batches)) == 100
    assert len(batches) == 3


def test_a_batch_is_acknowledged_once_the_next_is_asked_for() -> None:
    acknowledged: list[list[bool]] = []

    async def work(channel: Any, batches: list[list[Event]]) -> None:
        await put(channel, 0, 1)
        await until(lambda: len(batches) == 1)
        acknowledged.append([event.message.refcount == 0 for event in batches[0]])
        await until(lambda: all(event.message.refcount == 0 for event in batches[0]))
        await put(channel, 2)
        await until(lambda: len(batches) == 2)
        acknowledged.append([event.message.refcount == 0 for batch in batches for event in batch])

    taken(work, 100)
    assert acknowledged == [[False, False], [True, True, False]]
