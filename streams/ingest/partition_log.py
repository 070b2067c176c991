"""How far a partition of interactions is in the online store, and who may write it: one Redis hash a partition.

``hw:stream:<partition>`` holds

- ``fence``: grows with every worker that takes the partition; writes of an earlier worker are refused.
- ``position``: every effect of the offsets before it is in the online store and in the changelogs.
- ``items``: the items' partials contain, or the write-ahead record holds, everything before this offset.
- ``last``, ``next``: the batch `[last, next)` begun most recently; a batch must continue at ``next``, so that a
  Redis that came back older than it was is noticed before anything is written to it.
- ``wal``: that batch's new item partials, absolute, so that repeating them changes nothing.
"""

from typing import Any, NamedTuple

import msgspec

from feature_repo.redis_commands import Client, Connections, Script, call, send


class LostPartitionError(RuntimeError):
    """The partition has another owner, or Redis is not what this worker left: take it up anew."""


class WriteAhead(msgspec.Struct, frozen=True, rename={"start": "from", "stop": "to"}):
    """Item partials after the batch `[start, stop)`: pairs of an item's id and its ``ITEM_STATE`` bytes."""

    start: int
    stop: int
    items: list[tuple[str, bytes]]


class Claim(NamedTuple):
    """What was found when a partition was taken.

    Attributes
    ----------
    position, items: as in the hash; None if Redis knows nothing of the partition.
    unfinished: the batch that an earlier worker had begun and may not have finished.
    """

    fence: int
    position: int | None
    items: int | None
    unfinished: WriteAhead | None


_CLAIM = Script("""
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
local found = redis.call('HMGET', KEYS[1], 'position', 'items', 'wal')
return {fence, found[1], found[2], found[3]}
""")

_RESUME = Script("""
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 'fenced' end
redis.call('HSET', KEYS[1], 'last', ARGV[2], 'next', ARGV[2])
redis.call('HSETNX', KEYS[1], 'position', ARGV[2])
redis.call('HSETNX', KEYS[1], 'items', ARGV[2])
redis.call('HDEL', KEYS[1], 'wal')
return 'ok'
""")

_BEGIN = Script("""
local found = redis.call('HMGET', KEYS[1], 'fence', 'next', 'position', 'items')
if found[1] ~= ARGV[1] then return 'fenced' end
if found[2] ~= ARGV[2] then return found[2] end
local from, to = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'last', ARGV[2], 'next', ARGV[3], 'wal', ARGV[4])
if from > tonumber(found[3]) then redis.call('HSET', KEYS[1], 'position', ARGV[2]) end
if to > tonumber(found[4]) then redis.call('HSET', KEYS[1], 'items', ARGV[3]) end
return 'ok'
""")

_FINISH = Script("""
local found = redis.call('HMGET', KEYS[1], 'fence', 'next', 'position')
if found[1] ~= ARGV[1] then return 'fenced' end
if found[2] ~= ARGV[2] then return found[2] end
if tonumber(ARGV[2]) > tonumber(found[3]) then redis.call('HSET', KEYS[1], 'position', ARGV[2]) end
redis.call('HDEL', KEYS[1], 'wal')
return 'ok'
""")


class PartitionLog:
    """One worker's hold on one partition.

    Parameters
    ----------
    client: must not repeat a command by itself when a connection breaks: what comes after the break may be
        another state of Redis.
    connections: of the client; a new one is taken for another state, too.
    """

    def __init__(self, client: Client, partition: int, connections: Connections | None = None) -> None:
        self._client = client
        self._connections = connections or Connections()
        self._made = 0
        self.partition = partition
        self._key = b"hw:stream:%d" % partition
        self._fence = 0

    def claim(self) -> Claim:
        """Take the partition; from now on an earlier owner's batches are refused."""
        fence, position, items, wal = self._run(_CLAIM)
        self._fence = int(fence)
        self._made = self._connections.made
        return Claim(
            self._fence,
            None if position is None else int(position),
            None if items is None else int(items),
            msgspec.msgpack.decode(wal, type=WriteAhead) if wal else None,
        )

    def resume(self, start: int) -> None:
        """Go on at an offset; the unfinished batch's items must have been written again by then.

        Raises
        ------
        LostPartitionError: another worker has taken the partition.
        """
        self._accepted(self._run(_RESUME, self._fence, start), start)
        self._unbroken()

    def begin(self, start: int, stop: int, items: list[tuple[str, bytes]]) -> None:
        """Write ahead what the batch `[start, stop)` makes of the items; the batch before must be done by then.

        Raises
        ------
        LostPartitionError: another worker has taken the partition, or Redis does not know the batch before.
        """
        self.check()  # on the same connection: what is begun on a Redis that was set back would hide what it lost
        wal = msgspec.msgpack.encode(WriteAhead(start, stop, items)) if items else b""
        self._accepted(self._run(_BEGIN, self._fence, start, stop, wal), start)
        self._unbroken()

    def finish(self, stop: int) -> None:
        """Say that everything before `stop` is done.

        Raises
        ------
        LostPartitionError: as in `begin`.
        """
        self.check()
        self._accepted(self._run(_FINISH, self._fence, stop), stop)
        self._unbroken()

    def check(self) -> None:
        """Raise `LostPartitionError` if another worker has taken the partition, or Redis may have lost something."""
        found = send(self._client, [(b"HGET", self._key, b"fence")])[0]
        if found != b"%d" % self._fence:
            self._accepted(b"fenced", 0)
        self._unbroken()

    def _unbroken(self) -> None:
        # A pool replaces a connection that was closed while it lay idle; a Redis that came back older in between looks
        # as it did before the writes that it lost.
        if self._connections.made != self._made:
            raise LostPartitionError(
                f"partition {self.partition} of interactions: the connection to Redis broke, and Redis may have come "
                f"back older than it was"
            )

    def confirm(self, next_offset: int) -> None:
        """Raise `LostPartitionError` unless Redis is as the last batch, which ended before this offset, has left it."""
        fence, found = send(self._client, [(b"HMGET", self._key, b"fence", b"next")])[0]
        if fence != b"%d" % self._fence:
            self._accepted(b"fenced", next_offset)
        if found != b"%d" % next_offset:
            self._accepted(found, next_offset)

    def _run(self, script: Script, *arguments: bytes | str | int) -> Any:
        return send(self._client, [call(script, self._key, *arguments)], script=script)[0]

    def _accepted(self, answer: object, offset: int) -> None:
        if answer == b"ok":
            return
        if answer == b"fenced":
            why = f"its fence is not {self._fence} any more: another worker has it, or Redis was emptied"
        else:
            why = f"Redis expects offset {answer!r}, not {offset}: it came back older than it was"
        raise LostPartitionError(f"partition {self.partition} of interactions: {why}")


def applied_position(client: Client, partition: int) -> int | None:
    """Return the offset before which a partition's effects are in the online store, None if nothing is known."""
    found = send(client, [(b"HGET", b"hw:stream:%d" % partition, b"position")])[0]
    return None if found is None else int(found)
