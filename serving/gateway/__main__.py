"""The gateway's process. Run with `python -m serving.gateway`."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from feature_repo.redis_commands import connect
from serving.algebra import on_one_thread
from serving.engine import Engine
from serving.gateway.answering import Answering
from serving.gateway.app import make_app
from serving.gateway.publishing import Publishing
from serving.gateway.readiness import Ready
from serving.gateway.security.security import Security
from serving.gateway.served_log import ServedLog
from serving.gateway.settings import GatewaySettings
from serving.gateway.state import Gateway
from serving.service import Service
from serving.similar.similar_items import SimilarItems
from streams.contracts.observability import READY, configure_logging, logger, serve_metrics

log = logger(__name__)

REDIS_TIMEOUT_S = 1.0
SHUTDOWN_S = 10
KEEP_ALIVE_S = 75
"""A connection that nobody uses is kept for so long: longer than proxies and clients keep theirs (60 s, mostly), for
who hangs up first tears down what the other is just sending.
"""
BACKLOG = 512
"""Connections that the kernel holds for us; more than the queue, so that who comes too many is told so."""


@contextmanager
def running(settings: GatewaySettings) -> Iterator[Gateway]:
    """All that the handlers share, started; stopped at the end."""
    engine, served = Engine(settings), ServedLog(settings)

    def answers(name: str, service: Service) -> Answering:
        return Answering(
            name, service, length=settings.gateway_queue, batch=settings.serving_batch, record=served.write
        )

    answering, aside = answers("answering", engine.service), answers("aside", engine.another_service())
    publishing, security = Publishing(settings), Security(settings)
    similar = SimilarItems(engine.items, settings.topics, settings.kafka_config(), engine.service.default_as_of)
    try:
        security.start()
        engine.start()
        similar.start()
        served.start()
        answering.start()
        aside.start()
        yield Gateway(
            settings=settings,
            engine=engine,
            answering=answering,
            aside=aside,
            served=served,
            ready=Ready(settings, engine, [answering, aside]),
            redis=connect(settings.redis_url, timeout_s=REDIS_TIMEOUT_S, retries=1),
            publishing=publishing,
            security=security,
            similar=similar,
        )
    finally:
        answering.stop()
        aside.stop()
        served.stop()
        publishing.close()
        similar.stop()
        engine.stop()
        security.stop()


def settle() -> None:
    """Have the garbage collector pass over what is there by now, and look less often at what comes.

    Going through everything that was made at the start holds up every request for a tenth of a second, and the more
    often, the more requests go wrong: exceptions leave cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = GatewaySettings()
    configure_logging("gateway", settings.log_level)
    on_one_thread()
    sys.setswitchinterval(0.001)  # a request waits for the other threads' turns hundreds of times
    for number in (signal.SIGTERM, signal.SIGINT):  # also raised by the server once it has ended in good order
        signal.signal(number, lambda *_: sys.exit(0))
    stop_metrics = serve_metrics(settings.metrics_port)
    try:
        with running(settings) as gateway:
            server = uvicorn.Server(
                uvicorn.Config(
                    make_app(gateway),
                    host=settings.gateway_host,
                    port=settings.gateway_port,
                    backlog=BACKLOG,
                    timeout_keep_alive=KEEP_ALIVE_S,
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    timeout_graceful_shutdown=SHUTDOWN_S,
                )
            )
            settle()
            READY.set(1)
            log.info("ready", host=settings.gateway_host, port=settings.gateway_port, open=settings.gateway_open)
            server.run()
    finally:
        READY.set(0)
        stop_metrics()
        log.info("stopped")


if __name__ == "__main__":
    main()
