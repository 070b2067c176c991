"""HTTP GET for readiness probes."""

import urllib.request
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """Status and body of an HTTP answer."""

    status: int
    text: str


def get(url: str, timeout_s: float = 2.0) -> Answer:
    """GET `url`, an ``http://`` address of this machine; raises OSError when there is no good answer."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - only our own addresses
        return Answer(answer.status, answer.read().decode())
