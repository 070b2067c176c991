import asyncio
import threading

import pytest

from serving.gateway import threads
from serving.gateway.problems import Problem
from serving.gateway.threads import Threads


def test_beyond_what_may_wait_a_call_is_refused_and_later_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "WAITING", 20)
    go_on = threading.Event()

    def work(number: int) -> int:
        go_on.wait(20)
        if number == 3:
            raise ValueError("three")
        return number

    async def scenario() -> None:
        found = Threads()
        calls = [asyncio.create_task(found.run(work, number)) for number in range(20)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await found.run(work, 20)
        assert (refused.value.status_code, refused.value.code) == (503, "busy")
        calls[19].cancel()  # its caller has gone: the thread is still to come to it
        go_on.set()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [each for each in done if isinstance(each, int)] == [n for n in range(19) if n != 3]
        assert str(done[3]) == "three"
        assert await found.run(work, 21) == 21
        with pytest.raises(ValueError, match="three"):
            await found.run(work, number=3)

    asyncio.run(scenario())
