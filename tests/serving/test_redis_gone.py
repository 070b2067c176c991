"""Redis away, or empty while it is being filled again: requests are answered, and say that they are fallbacks."""

from pathlib import Path

import pytest

from streams.contracts.requests import FallbackReason, Reply, Status
from tests.serving.running import running, until
from tests.serving.triton_server import TritonServer
from tests.streams.own_redis import OwnRedis

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("emptied", [False, True])
def test_requests_are_answered_as_fallbacks_and_then_as_before(
    kafka: str, triton: TritonServer, tmp_path: Path, emptied: bool
) -> None:
    (tmp_path / "redis").mkdir()
    server = OwnRedis(tmp_path / "redis")
    service = running(kafka, f"redis://127.0.0.1:{server.port}/0", triton, tmp_path)
    try:
        service.start()
        service.announce(1)
        with service.client() as client:

            def ask() -> Reply:
                return client.recommend("ann", n=5)

            until(lambda: ask().status is Status.OK)
            server.snapshot("whole.rdb")
            if emptied:
                server.client.flushall()
            else:
                server.kill()
            reply = until(lambda: found if (found := ask()).status is not Status.OK else None)
            assert (reply.status, reply.reason, len(reply.items)) == (
                Status.FALLBACK,
                (FallbackReason.UNKNOWN_CUSTOMER if emptied else FallbackReason.MISSING_FEATURES).value,
                5,
            )
            if emptied:
                server.kill()
            server.set_back("whole.rdb")
            server.start()
            until(lambda: ask().status is Status.OK)
    finally:
        if service.process is not None:
            service.close()
        server.kill()
