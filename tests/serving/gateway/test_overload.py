"""Far more requests than can be answered: some are answered, the others told to come back; nothing piles up."""

from __future__ import annotations

import asyncio
import collections
import time

import httpx
import pytest

from tests.serving.gateway.running import RunningGateway, running_gateway
from tests.serving.running import until
from tests.serving.triton_server import TritonServer

pytestmark = pytest.mark.stack

CROWD = 400
QUEUE = 8


@pytest.fixture(scope="module")
def narrow(
    kafka: str, redis_url: str, triton: TritonServer, tmp_path_factory: pytest.TempPathFactory
) -> RunningGateway:
    """A gateway in whose queue few may wait."""
    directory = tmp_path_factory.mktemp("narrow")
    gateway = running_gateway(kafka, redis_url, triton, directory, {"HEADWATER_GATEWAY_QUEUE": str(QUEUE)})
    gateway.announce(1)
    gateway.start()
    until(lambda: gateway.live(1))
    yield gateway
    assert gateway.close() == 0, gateway.log.read_text()[-4000:]


async def crowd(url: str, path: str) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=CROWD)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        return await asyncio.gather(*(client.get(path) for _ in range(CROWD)))


def test_a_crowd_is_answered_or_told_when_to_come_back(narrow: RunningGateway) -> None:
    answers = asyncio.run(crowd(narrow.url, "/customers/ann/recommendations?deadline_ms=60000"))
    counts = collections.Counter(answer.status_code for answer in answers)
    assert set(counts) == {200, 503}
    assert counts[200] >= QUEUE
    for refused in (answer for answer in answers if answer.status_code == 503):
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "busy"
    assert {answer.json()["status"] for answer in answers if answer.status_code == 200} == {"ok"}
    assert narrow.metric('headwater_gateway_queue{queue="answering"}') == 0.0
    with narrow.http() as http:
        assert http.get("/customers/ann/recommendations").json()["status"] == "ok"


def test_who_hangs_up_is_not_waited_for(narrow: RunningGateway) -> None:
    """Clients that are gone take no place in the queue for long."""

    async def impatient() -> None:
        async with httpx.AsyncClient(base_url=narrow.url, timeout=0.001) as client:
            for _ in range(50):
                with pytest.raises(httpx.TimeoutException):
                    await client.get("/customers/ann/recommendations")

    asyncio.run(impatient())
    with narrow.http() as http:
        until(lambda: http.get("/customers/ann/recommendations").status_code == 200)
        assert http.get("/health/ready").status_code == 200


def test_requests_are_told_by_route_and_status(narrow: RunningGateway) -> None:
    with narrow.http() as http:
        for customer in ("ann", "bob", "cleo"):
            http.get(f"/customers/{customer}/recommendations")
        http.get("/nowhere/at/all")
    time.sleep(0.1)
    name = "headwater_gateway_request_seconds_count"
    route = "GET /customers/{customer_id}/recommendations"
    answered = narrow.metric(f'{name}{{route="{route}",status="200"}}')
    assert answered is not None
    assert answered >= 3
    assert narrow.metric(f'{name}{{route="no route",status="404"}}') == 1.0
