"""What an agent's stream has, at once: a lone record is not kept waiting for others, many are taken together."""

from collections.abc import AsyncIterator
from typing import Any


async def at_once(stream: Any, most: int) -> AsyncIterator[list[Any]]:
    """Yield the events that are there, in order, as soon as there is one; its batch is acknowledged with the next step.

    Faust's own `take_events` waits a fixed time for more. Here the time that a batch takes is what gathers the next
    one: the longer it takes, the more come together. Events of an assignment that has ended are left out by Faust; what
    was gathered of it then is given with the next event, unacknowledged until then, so it comes again as well.

    Parameters
    ----------
    stream
        A `faust.Stream` over a channel; from now on its events are acknowledged here.
    most
        Events in one batch.
    """
    stream.enable_acks = False
    gathered: list[Any] = []
    async for event in stream.events():
        gathered.append(event)
        if len(gathered) < most and not stream.channel.empty():
            continue
        yield gathered
        for each in gathered:
            await stream.ack(each)
        gathered = []
