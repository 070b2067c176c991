"""Writing single records: customers or items, upserted, changed in part or deleted.

A write is published like any record of a shop's. Redis has it once the streams have applied it, some hundredths of a
second later, and until then the caller waits, so that what it reads next is what it has written. A write that depends
on what is there (a patch, a precondition) first waits for all that was published before it; of two at once, one waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import redis
from confluent_kafka import KafkaException

from feature_repo.record_store import Kind, Position, RecordStore, Stored
from serving.gateway import problems
from serving.gateway.applied import Applied
from serving.gateway.etags import Preconditions, etag
from serving.gateway.merge_patch import merged
from serving.gateway.problems import Problem
from serving.gateway.publishing import NotPublishedError, Publishing
from serving.gateway.record_locks import RecordLocks
from serving.gateway.threads import Threads
from streams.contracts.codec import LIMITS, decode, encode
from streams.contracts.operations import Reason
from streams.contracts.rejection import Rejected
from streams.contracts.topics import Topic

APPLIED_WITHIN_S = 2.0
"""How long a write waits to be readable; then it is answered as accepted."""

CAUGHT_UP_WITHIN_S = 5.0
"""How long a write that depends on what is there waits for what was published before it."""


@dataclass(frozen=True)
class Written:
    """A write that Kafka has.

    Attributes
    ----------
    record
        The record as JSON, ``None`` for a deletion.
    position
        Where it stands in its topic.
    created
        There was none before.
    applied
        Who reads now reads it.
    """

    record: bytes | None
    position: Position
    created: bool
    applied: bool


class RecordWrites:
    """Records of one kind.

    Parameters
    ----------
    kind, topic
        What they are about, and where they are published.
    normal
        Checks a record (value, key) and returns it in its normal form; raises `Rejected`.
    """

    def __init__(
        self,
        kind: Kind,
        topic: Topic,
        normal: Callable[[bytes, bytes], bytes],
        store: RecordStore,
        publishing: Publishing,
        applied: Applied,
        locks: RecordLocks,
        threads: Threads,
    ) -> None:
        self._kind, self._topic, self._normal = kind, topic, normal
        self._store, self._publishing, self._applied, self._locks = store, publishing, applied, locks
        self._threads = threads

    async def read(self, name: str) -> Stored:
        """Return a record.

        Raises
        ------
        Problem
            404, or 503 without Redis.
        """
        with needed():
            found = await self._stored(name)
        if found is None or found.record is None:
            raise self._unknown(name)
        return found

    async def put(self, name: str, body: bytes, when: Preconditions, *, wait: bool = True) -> Written:
        """Publish a whole record; the body may leave its id out.

        Raises
        ------
        Problem
            422, 412, 409 or 503.
        """
        with _checked():
            record = self._normal(_with_id(body, self._topic.key, name), name.encode())
        with needed():
            async with self._locks.held(name):
                before = await self._current(name) if when else await self._stored(name)
                existed = before is not None and before.record is not None
                when.check(f"{self._kind} {name!r}", _tag(before))
                position = await self._publishing.publish_one(self._topic, name.encode(), record)
            return Written(record, position, not existed, await self._readable(position, wait))

    async def patch(self, name: str, body: bytes, when: Preconditions, *, wait: bool = True) -> Written:
        """Publish the record that is there, changed as a JSON merge patch says; nothing if that changes nothing.

        Raises
        ------
        Problem
            404, 422, 412, 409 or 503.
        """
        with _checked():
            patch = _object(body)
            self._changed({self._topic.key: name}, patch, name)  # what is wrong with any record is told at once
        with needed():
            async with self._locks.held(name):
                before = await self._current(name)
                when.check(f"{self._kind} {name!r}", _tag(before))
                if before is None or before.record is None:
                    raise self._unknown(name)
                with _checked():
                    record = self._changed(msgspec.json.decode(before.record), patch, name)
                if record == before.record:
                    return Written(record, before.position, created=False, applied=True)
                position = await self._publishing.publish_one(self._topic, name.encode(), record)
            return Written(record, position, created=False, applied=await self._readable(position, wait))

    async def delete(self, name: str, when: Preconditions, *, wait: bool = True) -> Written:
        """Publish a tombstone, also where there is no record: of a customer there may be more than that.

        Raises
        ------
        Problem
            422, 412, 409 or 503.
        """
        with _checked():
            self._normal(_with_id(b"{}", self._topic.key, name), name.encode())  # is the id one at all?
        with needed():
            async with self._locks.held(name):
                if when:
                    when.check(f"{self._kind} {name!r}", _tag(await self._current(name)))
                position = await self._publishing.publish_one(self._topic, name.encode(), None)
            return Written(None, position, created=False, applied=await self._readable(position, wait))

    def _changed(self, record: dict[str, Any], patch: dict[str, Any], name: str) -> bytes:
        return self._normal(encode(merged(record, patch)), name.encode())

    async def _stored(self, name: str) -> Stored | None:
        return (await self._threads.run(self._store.read, [name]))[0]

    async def _current(self, name: str) -> Stored | None:
        """The record as the last one that was published has it."""
        if not await self._applied.caught_up(name, CAUGHT_UP_WITHIN_S):
            raise problems.unavailable(
                f"what {self._kind} {name!r} is by now can't be told: the streams are behind in topic "
                f"{self._topic.name!r}; try again later, or put the whole record unconditionally"
            )
        return await self._stored(name)

    async def _readable(self, position: Position, wait: bool) -> bool:
        if not wait:
            return False
        try:
            return await self._applied.reached(position, APPLIED_WITHIN_S)
        except redis.RedisError:  # Kafka has it: the write is accepted, whatever Redis does
            return False

    def _unknown(self, name: str) -> Problem:
        return Problem(404, "not_found", f"there is no {self._kind} {name!r}")


@contextmanager
def needed() -> Iterator[None]:
    """Tell a caller who needs Redis or Kafka that it is away: 503."""
    try:
        yield
    except redis.RedisError as error:
        raise problems.unavailable(f"Redis is out of reach: {error}") from error
    except NotPublishedError as error:
        raise problems.unavailable(f"{error}; it may be sent again") from error
    except KafkaException as error:
        raise problems.unavailable(f"Kafka is out of reach: {error}") from error


@contextmanager
def _checked() -> Iterator[None]:
    """Tell a caller why a record can't be used: 422."""
    try:
        yield
    except Rejected as why:
        raise problems.rejected(why) from None
    except RecursionError:
        raise problems.rejected(Rejected(Reason.NOT_JSON, "the body is nested too deep")) from None


def _tag(stored: Stored | None) -> str | None:
    return None if stored is None or stored.record is None else etag(stored.position)


def _with_id(body: bytes, field: str, name: str) -> bytes:
    """The record with the id of its path where it names none."""
    found = _object(body)
    return encode({field: name, **found})


def _object(body: bytes) -> dict[str, Any]:
    """A body that is a JSON object; raises `Rejected` for any other, as the streams would."""
    return decode(body, dict, LIMITS)
