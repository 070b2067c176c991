"""Logs and metrics, the same in every process: one set-up, one place for metric names.

Needs structlog and prometheus_client, which the main and the trainer environments both have.
"""

import logging
import os
import sys
from collections.abc import Callable

import structlog
from prometheus_client import Counter, Gauge, Histogram, start_http_server

_FAST = (
    0.0005,
    0.001,
    0.002,
    0.003,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.02,
    0.03,
    0.04,
    0.06,
    0.1,
    0.2,
    0.5,
    1.0,
    2.5,
)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)

# Streams.
EVENTS = Counter("headwater_events_total", "Interactions read, by what became of them", ["outcome"])
DEAD_LETTERS = Counter("headwater_dead_letters_total", "Records sent to the dead letters", ["reason"])
ERASURES = Counter("headwater_erasures_total", "Customers erased")
SCRUBBED = Counter("headwater_scrubbed_records_total", "Records deleted because their customer was erased", ["topic"])
INGEST_LAG = Gauge("headwater_ingest_lag", "Interactions not yet applied", ["partition"])
REFUSED = Gauge("headwater_ingest_refused", "1 while a partition must not be taken up, else 0", ["partition"])
LOST = Counter("headwater_lost_offsets_total", "Offsets gone before they were read, as was accepted", ["partition"])
HELD_BACK = Gauge("headwater_ingest_held_back", "1 while a store is away and nothing is read, else 0")
EVENT_AGE = Histogram(
    "headwater_event_age_seconds",
    "From an interaction's arrival in Kafka to its features being written",
    buckets=_SLOW,
)
BATCH_SECONDS = Histogram("headwater_batch_seconds", "Applying one batch of interactions", buckets=_FAST)
STORE_ROWS = Counter("headwater_store_rows_total", "Rows written to the online store", ["view"])
REREAD = Counter("headwater_reread_total", "Upserts read again because Redis had lost them", ["topic"])
OFFLINE_ROWS = Counter("headwater_offline_rows_total", "Interactions written to the offline store")
COMPACTED = Counter(
    "headwater_compacted_ranges_total", "Ranges of the offline store that were merged, or freed of erased customers"
)
TRIGGERS = Counter("headwater_triggers_total", "Training triggers sent", ["reason"])

# Serving.
REQUESTS = Counter("headwater_requests_total", "Requests answered, by status", ["status"])
FALLBACKS = Counter("headwater_fallbacks_total", "Answers without the full model, by reason", ["reason"])
REQUEST_SECONDS = Histogram("headwater_request_seconds", "From a request's Kafka timestamp to its reply", buckets=_FAST)
REQUEST_STAGE_SECONDS = Histogram("headwater_request_stage_seconds", "Answering, by stage", ["stage"], buckets=_FAST)
REQUEST_LAG = Gauge("headwater_request_lag", "Requests not yet answered", ["partition"])

# Gateway.
GATEWAY_SECONDS = Histogram(
    "headwater_gateway_request_seconds", "HTTP requests, by route and status", ["route", "status"], buckets=_FAST
)
GATEWAY_QUEUE = Gauge("headwater_gateway_queue", "Requests that wait for an answer", ["queue"])
SERVED_LOST = Counter("headwater_gateway_served_lost_total", "Answers that could not be recorded in Kafka")

# Similar items: the process that makes vectors and neighbours, and who answers from them.
SIMILAR_DUE = Gauge("headwater_similar_due", "Items whose vectors have still to be published")
SIMILAR_EMBEDDED = Counter("headwater_similar_embedded_total", "Texts turned into vectors")
SIMILAR_COUNTS = Counter("headwater_similar_counts_total", "Looks for new baskets, by what came of them", ["outcome"])
SIMILAR_COUNT_SECONDS = Histogram("headwater_similar_count_seconds", "Counting all baskets", buckets=_SLOW)
SIMILAR_COUNTED_UNTIL = Gauge(
    "headwater_similar_counted_until_timestamp_seconds", "Time of the newest basket that was counted, Unix time"
)
SIMILAR_BASKETS = Gauge("headwater_similar_baskets", "Baskets at the last count")
SIMILAR_NEIGHBOURS = Gauge("headwater_similar_neighbours", "Items that have neighbours by their baskets")
SIMILAR_PUBLISHED = Counter("headwater_similar_published_total", "Items whose neighbours were published anew")
SIMILAR_SECONDS = Histogram(
    "headwater_similar_seconds", "Answering a question about an item, inside the process", ["question"], buckets=_FAST
)
SIMILAR_SHOWN = Counter("headwater_similar_shown_total", "Items shown beside another, by what speaks for them", ["why"])
SIMILAR_VECTORS = Gauge("headwater_similar_vectors", "Items that are found by their text")
SIMILAR_LISTS = Gauge("headwater_similar_lists", "Items that are found by their baskets")

# Models.
MODEL_VERSION = Gauge("headwater_model_version", "Version of the bundle that is live in this process")
MODEL_TRAINED = Gauge("headwater_model_trained_timestamp_seconds", "When the live bundle was made, Unix time")
TRAINING_SECONDS = Histogram("headwater_training_seconds", "Training, by phase", ["phase"], buckets=_SLOW)
TRAINING_RUNS = Counter("headwater_training_runs_total", "Training runs, by outcome", ["outcome"])

# Every process.
READY = Gauge("headwater_ready", "1 once the process does its work, else 0")


def serve_metrics(port: int, address: str | None = None) -> Callable[[], None]:
    """Serve GET /metrics in a thread of its own; return what stops it.

    Parameters
    ----------
    port: 0 takes a free one.
    address: default HEADWATER_METRICS_ADDRESS, else 127.0.0.1; containers set 0.0.0.0.

    Raises
    ------
    OSError: the port is taken; says which and how to choose another.
    """
    address = address or os.environ.get("HEADWATER_METRICS_ADDRESS", "127.0.0.1")
    try:
        server, thread = start_http_server(port, addr=address)
    except OSError as error:
        raise OSError(
            error.errno,
            f"can't serve metrics on {address}:{port} ({error}); set HEADWATER_METRICS_PORT to a free port",
        ) from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)

    return stop


def configure_logging(process: str, level: str | None = None) -> None:
    """Send all logs, also those of libraries, to stderr: JSON lines, or coloured text on a terminal.

    Parameters
    ----------
    process: name of this process, in every line.
    level: default HEADWATER_LOG_LEVEL, else INFO.

    Raises
    ------
    ValueError: no such level.
    """
    level = (level or os.environ.get("HEADWATER_LOG_LEVEL") or "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise ValueError(f"log level {level!r}: give one of DEBUG, INFO, WARNING, ERROR (HEADWATER_LOG_LEVEL)")
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    terminal = sys.stderr.isatty()
    last: list[structlog.types.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Logger of a module: `log = logger(__name__); log.info("started", port=9000)`."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound
