import json
import subprocess
import sys
import urllib.request

import pytest

from streams.contracts import observability


def test_metrics_are_served_until_stopped() -> None:
    observability.READY.set(1)
    observability.EVENTS.labels("applied").inc(3)
    with pytest.raises(OSError, match="HEADWATER_METRICS_PORT"):
        observability.serve_metrics(1, "192.0.2.1")
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stop = observability.serve_metrics(port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        with pytest.raises(OSError, match=str(port)):
            observability.serve_metrics(port)
    finally:
        stop()
    assert "headwater_ready 1.0" in text
    assert 'headwater_events_total{outcome="applied"}' in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")


def test_logs_are_json_lines_with_the_process_named() -> None:
    program = (
        "import logging\n"
        "from streams.contracts.observability import configure_logging, logger\n"
        "configure_logging('ingest', 'info')\n"
        "logger('a').info('started', port=9)\n"
        "logging.getLogger('library').warning('odd %s', 1)\n"
        "logger('a').debug('unseen')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = map(json.loads, done.stderr.splitlines())
    assert (first["event"], first["port"], first["process"], first["level"]) == ("started", 9, "ingest", "info")
    assert (second["event"], second["logger"], second["process"]) == ("odd 1", "library", "ingest")


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="'LOUD'"):
        observability.configure_logging("test", "loud")
