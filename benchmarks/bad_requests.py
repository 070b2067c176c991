"""Requests that are wrong in every way that comes to mind, the same ones in every run."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from benchmarks.http_load import request

PATHS = (
    "/customers/{}", "/customers/{}/recommendations", "/customers", "/customers/bulk", "/items/{}", "/items/bulk",
    "/items/{}/similar", "/items/{}/bought-together", "/items/popular", "/items/trending", "/interactions",
    "/interactions/bulk", "/sessions/recommendations", "/recommendations/{}", "/tokens", "/keys", "/keys/{}",
    "/keys/{}/rotate", "/", "/health", "/health/{}", "/..%2f..%2fetc%2fpasswd", "/{}",
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "BREW")
WRITES = ("PUT", "PATCH", "DELETE")
SEGMENTS = ("%00", "%FF%FE", "a" * 200, "..", "%2e%2e", "%25", "'%3B--", "%F0%9F%92%A9", "null", "-1", "%0d%0ax%3Ay")
NAMES = (
    "n",
    "as_of",
    "diversity",
    "novelty",
    "categories",
    "context",
    "deadline_ms",
    "cursor",
    "limit",
    "category",
    "blend",
)
VALUES = ("", "-1", "0", "1e999", "nan", "9" * 40, "true", "%00", "[]", "{}", "a:b", "2026-13-41T99:99:99Z", "%ff")
JUNK: tuple[Any, ...] = (None, True, -1, 1e308, 2**63, "", "\x00", "x" * 500, [], {}, [[]], {"a": None}, "2026-02-30")
FIELDS = (
    "events", "interactions", "customers", "items", "event_id", "customer_id", "item_id", "type", "timestamp", "n",
    "attributes", "price", "scopes", "ttl_s", "context", "categories",
)  # fmt: skip
HEADERS: tuple[dict[str, str], ...] = (
    {}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"},
    {"Authorization": "Bearer nobody"}, {"If-Match": '"'}, {"Idempotency-Key": "x" * 300}, {"Accept": "image/png"},
    {"X-API-Key": "hw_" + "0" * 60}, {"Cookie": "a=b"}, {"Range": "bytes=9-1"},
)  # fmt: skip


def bad_requests(seed: int) -> Iterator[bytes]:
    """Requests without end."""
    rng = random.Random(seed)
    while True:
        path = rng.choice(PATHS)
        target = path.replace("{}", rng.choice(SEGMENTS))
        if rng.random() < 0.6:
            pairs = [f"{rng.choice(NAMES)}={rng.choice(VALUES)}" for _ in range(rng.randint(1, 4))]
            target += "?" + "&".join(pairs)
        method, headers = rng.choice(METHODS), rng.choice(HEADERS)
        if method in WRITES:
            headers = {**headers, "If-Match": '"never"'}  # so that nothing is written by accident
        yield request(method, target, _body(rng), headers)


def _body(rng: random.Random) -> bytes:
    """Bytes, broken JSON, or JSON that says the wrong things."""
    kind = rng.random()
    if kind < 0.2:
        return b""
    if kind < 0.3:
        return rng.randbytes(rng.randint(1, 400))
    text = json.dumps(_junk(rng, 3)).encode()
    if kind < 0.45:
        return text[: rng.randint(0, len(text))]
    if kind < 0.5:
        return b"[" * 5000
    return text


def _junk(rng: random.Random, depth: int) -> Any:
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(JUNK)
    if rng.random() < 0.3:
        return [_junk(rng, depth - 1) for _ in range(rng.randint(0, 4))]
    return {rng.choice(FIELDS): _junk(rng, depth - 1) for _ in range(rng.randint(0, 6))}
