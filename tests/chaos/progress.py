"""How far the stream is, seen from outside: partitions' positions in Redis, and how long it took to go on."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import redis


@dataclass(frozen=True)
class Seen:
    """Fences and the next offsets of partitions at some instant."""

    fences: dict[int, int]
    next: dict[int, int]


@dataclass
class Progress:
    """Watches `hw:stream:<partition>`.

    Attributes
    ----------
    ends: partition -> the offset after the last record that has arrived; filled by the producer.
    recoveries: seconds from a disturbance until every partition had gone on.
    """

    redis_url: str
    partitions: int
    ends: dict[int, int]
    recoveries: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client: Any = redis.Redis.from_url(self.redis_url, socket_timeout=1.0, socket_connect_timeout=1.0)
        self._highest = dict.fromkeys(range(self.partitions), 0)
        self._last = Seen({}, {})
        self._lock = threading.Lock()

    def look(self) -> Seen | None:
        """Read what Redis says now, None if it is away."""
        try:
            with self._lock:
                pipe = self._client.pipeline(transaction=False)
                for partition in range(self.partitions):
                    pipe.hmget(f"hw:stream:{partition}", ["fence", "next"])
                found = pipe.execute()
        except redis.RedisError:
            return None
        seen = Seen(
            {partition: int(fence or 0) for partition, (fence, _) in enumerate(found)},
            {partition: int(at or 0) for partition, (_, at) in enumerate(found)},
        )
        for partition, at in seen.next.items():
            self._highest[partition] = max(self._highest[partition], at)
        self._last = seen
        return seen

    @property
    def last(self) -> Seen:
        """What was seen last."""
        return self._last

    def await_moves(self, began: float, timeout_s: float, note: bool = True) -> bool:
        """Wait until every partition has gone beyond where it ever was, or has nothing to read.

        Parameters
        ----------
        began: when the disturbance was (monotonic seconds).
        note: whether to keep the time it took.
        """
        floor = dict(self._highest)
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            seen = self.look()
            if seen is not None and all(
                at > floor[partition] or at >= self.ends.get(partition, 0) for partition, at in seen.next.items()
            ):
                if note:
                    self.recoveries.append(time.monotonic() - began)
                return True
            time.sleep(0.05)
        return False

    def await_new_owners(self, since: Seen, timeout_s: float) -> bool:
        """Wait until every partition's fence has grown: all have been taken anew."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            seen = self.look()
            if seen is not None and all(fence > since.fences.get(p, 0) for p, fence in seen.fences.items()):
                return True
            time.sleep(0.05)
        return False

    def applied(self, ends: dict[int, int]) -> bool:
        """Whether everything before these offsets is in the online store and its changelogs."""
        try:
            found = [self._client.hmget(f"hw:stream:{p}", ["position", "wal"]) for p in ends]
        except redis.RedisError:
            return False
        return all(
            position is not None and int(position) == end and not wal
            for (position, wal), end in zip(found, ends.values(), strict=True)
        )
