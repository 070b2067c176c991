"""Where the event loop is behind, who comes is told so; one late look is not enough for that."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from serving.gateway.load_shedding import EVERY_S, LoadShedding, LoopLag

LATE = 1.5


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"answered"})


async def asked(lag: LoopLag, path: str = "/customers/1842/recommendations") -> httpx.Response:
    transport = httpx.ASGITransport(LoadShedding(answers, lag=lag, spared=["/health/live"]))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get(path)


@pytest.mark.parametrize(
    ("looks", "behind"),
    [((), False), ((LATE,), False), ((LATE, LATE), True), ((LATE, 0.01, LATE), False), ((LATE, LATE, 0.01), False)],
    ids=str,
)
def test_two_late_looks_in_a_row_are_being_behind(looks: tuple[float, ...], behind: bool) -> None:
    lag = LoopLag()
    for late_s in looks:
        lag.felt(late_s)
    answer = asyncio.run(asked(lag))
    assert answer.status_code == (503 if behind else 200)
    if behind:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "busy"
        assert int(answer.headers["retry-after"]) >= LATE
    assert asyncio.run(asked(lag, "/health/live")).status_code == 200


def test_a_loop_that_is_held_up_is_felt_and_forgotten() -> None:
    async def scenario() -> list[int]:
        lag = LoopLag()
        statuses = [(await asked(lag)).status_code]
        for _ in range(3):
            time.sleep(LATE)  # so that the loop is held up
            await asyncio.sleep(0.001)  # what was due before comes before
        statuses.append((await asked(lag)).status_code)
        await asyncio.sleep(3 * EVERY_S)
        return [*statuses, (await asked(lag)).status_code]

    assert asyncio.run(scenario()) == [200, 503, 200]
