"""Keeps items' vectors and neighbours current: `python -m trainer.similarity`, in the trainer's environment."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from feature_repo.shop import load_shop
from streams.contracts.observability import READY, configure_logging, logger, serve_metrics
from trainer.similarity.counting import Counting, Neighbours
from trainer.similarity.encoders import load
from trainer.similarity.service import Embeddings
from trainer.similarity.settings import SimilaritySettings

log = logger(__name__)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging("similarity")
    settings = SimilaritySettings.of()
    stop_metrics = serve_metrics(settings.trainer.metrics_port)
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    encoder = load(settings.encoder, settings.trainer.state / "text-encoders")
    log.info("text encoder loaded", encoder=encoder.name, dimension=encoder.dimension)
    vectors = Embeddings(settings, load_shop(settings.trainer.shop), encoder)
    counting = Counting(Neighbours(settings), lambda: dict(vectors.categories), settings.count_every_s)
    counting.start()
    READY.set(1)
    try:
        while not stopping.is_set():
            vectors.step()
    finally:
        READY.set(0)
        counting.stop()
        vectors.close()
        stop_metrics()


if __name__ == "__main__":
    main()
