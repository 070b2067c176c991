"""What a process of the stack says of itself in its Prometheus metrics."""

import time
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from deploy.stack.http import get


def total(address: str, name: str, labels: Mapping[str, str] | None = None) -> float:
    """Return the sum of a metric's samples whose labels include the given ones; 0 if there are none.

    Parameters
    ----------
    address
        ``host:port`` of the process' metrics.
    name
        Of the sample, such as ``headwater_events_total``.

    Raises
    ------
    OSError
        When the process does not answer.
    """
    wanted = dict(labels or {})
    return sum(
        sample.value
        for family in text_string_to_metric_families(get(f"http://{address}/metrics").text)
        for sample in family.samples
        if sample.name == name and wanted.items() <= sample.labels.items()
    )


def wait_until(address: str, name: str, least: float, timeout_s: float = 300.0, every_s: float = 0.1) -> float:
    """Wait until a metric's sum is at least `least`; the seconds that took.

    Raises
    ------
    TimeoutError
        When it does not get there in time; says how far it got.
    """
    start = time.perf_counter()
    while (value := total(address, name)) < least:
        if time.perf_counter() - start > timeout_s:
            raise TimeoutError(f"{name} of {address} stands at {value:.0f} after {timeout_s:.0f} s, wanted {least:.0f}")
        time.sleep(every_s)
    return time.perf_counter() - start
