"""Catalogue and customer records in Redis, as their topics tell them: one JSON document and its position each.

A record that is older than the stored one is refused. A deleted record leaves its position behind for a while, so
that a late writer does not bring it back.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
import redis

from feature_repo.online_store import Outcomes
from feature_repo.redis_commands import Client, Command, Script, call, send

Kind = Literal["item", "customer"]
"""What a record is about."""

FENCE_S = 48 * 3600
"""Seconds for which the position of a deleted record is kept: as long as duplicated events are recognised."""

SCAN_BATCH = 1000
"""Records read at a time when iterating."""

PAGE_SCANS = 50
"""How often Redis is asked for one page at most: records may be few among its other keys."""

SCAN_KEYS = 1000
"""Keys that Redis is asked to look at in one go: some tenths of a millisecond of its time."""

# Offsets can be compared within a partition only; a key changes partition when its topic is made anew.
_NEWER = """
local stored = redis.call('HGET', KEYS[1], 'version')
if stored then
  local partition, offset = string.match(stored, '^(%-?%d+):(%-?%d+)$')
  if partition == ARGV[1] then
    if tonumber(offset) > tonumber(ARGV[2]) then return -1 end
    if tonumber(offset) == tonumber(ARGV[2]) then return 0 end
  end
end
"""

_PUT = Script(
    _NEWER
    + """
redis.call('HSET', KEYS[1], 'record', ARGV[3], 'version', ARGV[1] .. ':' .. ARGV[2])
redis.call('PERSIST', KEYS[1])
return 1
"""
)

_DELETE = Script(
    _NEWER
    + """
redis.call('HDEL', KEYS[1], 'record')
redis.call('HSET', KEYS[1], 'version', ARGV[1] .. ':' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
)

Position = tuple[int, int]
"""Partition and offset of a record in its topic."""

Place = tuple[int, int]
"""Where a walk over all records stands: a node's number (0 without a cluster) and its cursor."""


class Stored(NamedTuple):
    """A record as it is kept: its JSON document, ``None`` once deleted, and where it or its tombstone stands."""

    record: bytes | None
    position: Position


class RecordStore:
    """Records of one kind.

    Parameters
    ----------
    client
        From `feature_repo.redis_commands.connect`.
    kind
        What the records are about.
    """

    def __init__(self, client: Client, kind: Kind) -> None:
        self._client = client
        self._prefix = f"hw:{kind}:".encode()

    def put(self, ids: Sequence[str], records: Sequence[bytes], positions: Sequence[Position]) -> Outcomes:
        """Write records that are newer than the stored ones.

        Parameters
        ----------
        ids
            ``[n]`` keys.
        records
            ``[n]`` JSON documents.
        positions
            ``[n]`` where the records stand in their topic.

        Returns
        -------
        int8[n]
            An `Outcome` for each record.
        """
        commands = [
            call(_PUT, self._key(name), partition, offset, record)
            for name, record, (partition, offset) in zip(ids, records, positions, strict=True)
        ]
        return np.array(send(self._client, commands, script=_PUT), dtype=np.int8)

    def delete(self, ids: Sequence[str], positions: Sequence[Position]) -> Outcomes:
        """Remove records that are older than the tombstones at the given positions; see `put`."""
        commands = [
            call(_DELETE, self._key(name), partition, offset, FENCE_S)
            for name, (partition, offset) in zip(ids, positions, strict=True)
        ]
        return np.array(send(self._client, commands, script=_DELETE), dtype=np.int8)

    def get(self, ids: Sequence[str]) -> list[bytes | None]:
        """Return the records' JSON documents, ``None`` where there is none."""
        return send(self._client, [(b"HGET", self._key(name), b"record") for name in ids])

    def read(self, ids: Sequence[str]) -> list[Stored | None]:
        """Return records with their positions, each pair of one moment; ``None`` where nothing was ever heard."""
        found = send(self._client, [(b"HMGET", self._key(name), b"record", b"version") for name in ids])
        return [None if at is None else Stored(record, _position(at)) for record, at in found]

    def positions(self, ids: Sequence[str]) -> list[Position | None]:
        """Return where the stored records (or the tombstones that removed them) stand in their topic."""
        stored = send(self._client, [(b"HGET", self._key(name), b"version") for name in ids])
        return [None if data is None else _position(data) for data in stored]

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Yield every id and record; one that is written meanwhile may or may not be among them."""
        keys = iter(self._client.scan_iter(match=self._prefix + b"*", count=SCAN_BATCH))
        seen: set[bytes] = set()
        while batch := [key for key in islice(keys, SCAN_BATCH)]:
            fresh = [key for key in dict.fromkeys(batch) if key not in seen]
            seen.update(fresh)
            commands: list[Command] = [(b"HGET", key, b"record") for key in fresh]
            for key, record in zip(fresh, send(self._client, commands), strict=True):
                if record is not None:
                    yield key[len(self._prefix) :].decode(), record

    def page(self, place: Place, count: int) -> tuple[list[tuple[str, bytes]], Place | None]:
        """Return about so many ids and records from a place on (``(0, 0)`` to begin), and where to go on.

        A page may hold fewer records or none, and a few more; ``None`` says that it was the last. Who goes on to the
        end sees every record that was there all the time; one may come twice.
        """
        nodes: list[Any] = _nodes(self._client)
        number, cursor = place
        keys: list[bytes] = []
        asked = count
        for _ in range(PAGE_SCANS):
            if number >= len(nodes) or len(keys) >= count:
                break
            looked = max(min(asked, SCAN_KEYS), PAGE_SCANS)
            cursor, found = nodes[number].scan(cursor, match=self._prefix + b"*", count=looked)
            keys += found
            asked = (count - len(keys)) * looked // max(len(found), 1)  # as many among the next keys as among these
            if cursor == 0:
                number += 1
        ids = [key[len(self._prefix) :].decode() for key in dict.fromkeys(keys)]
        records = zip(ids, self.get(ids), strict=True)
        left = (number, int(cursor)) if number < len(nodes) else None
        return [(name, record) for name, record in records if record is not None], left

    def _key(self, name: str) -> bytes:
        return self._prefix + name.encode()


def _nodes(client: Any) -> list[redis.Redis]:
    """Return whom to ask for all keys, always in the same order."""
    if isinstance(client, redis.RedisCluster):
        primaries = sorted(client.get_primaries(), key=lambda node: str(node.name))  # type: ignore[no-untyped-call]
        return [client.get_redis_connection(node) for node in primaries]
    return [client]


def _position(data: bytes) -> Position:
    partition, offset = data.split(b":")
    return int(partition), int(offset)
