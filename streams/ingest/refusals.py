"""Partitions that must not be taken up until somebody has decided something: why, and where that is said.

A worker that is refused stays in its group, looks again every few seconds and goes on by itself once the reason is
gone. Meanwhile the log says so, ``headwater_ingest_refused`` is 1, the process is not ready, and ``hw:refused`` holds
the reasons for `headwater status`.
"""

import time

import msgspec

from feature_repo.redis_commands import Client, send
from streams.contracts.observability import READY, REFUSED, logger
from streams.ingest.partition_log import LostPartitionError

log = logger(__name__)

REFUSED_KEY = b"hw:refused"
"""Hash of the partitions that are refused: a `Refusal` as JSON each."""

ACCEPTED_LOSS_KEY = b"hw:accepted-loss"
"""Hash: offset of a partition up to which it has been accepted that records are gone."""


class RefusedError(LostPartitionError):
    """A partition that must not be taken up as things are; says the way out."""


class TopicChangedError(RefusedError):
    """The topic is not the one that the stores were filled from."""


class StateLostError(RefusedError):
    """Redis lacks what was read before, and reading the topic again would not bring all of it back."""


class RecordsGoneError(RefusedError):
    """Records have left the topic before they were read."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a partition is refused, and since when: milliseconds since the epoch."""

    why: str
    since: int


class Refusals:
    """Says what is refused."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._said: dict[int, str] = {}

    def note(self, partition: int, why: str) -> None:
        """Say that a partition is refused."""
        READY.set(0)
        REFUSED.labels(str(partition)).set(1)
        if self._said.get(partition) != why:
            log.error("partition refused", partition=partition, why=why)
            self._said[partition] = why
            refusal = msgspec.json.encode(Refusal(why, time.time_ns() // 1_000_000))
            send(self._client, [(b"HSET", REFUSED_KEY, partition, refusal)])

    def lift(self, partition: int) -> None:
        """Say that a partition is taken up."""
        self._said.pop(partition, None)
        REFUSED.labels(str(partition)).set(0)
        send(self._client, [(b"HDEL", REFUSED_KEY, partition)])


def refused(client: Client) -> dict[int, Refusal]:
    """Return the partitions that are refused, and why."""
    found = send(client, [(b"HGETALL", REFUSED_KEY)])[0]
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    return {int(partition): msgspec.json.decode(data, type=Refusal) for partition, data in pairs}


def accepted_loss(client: Client, partition: int) -> int:
    """Return the offset up to which it has been accepted that records are gone, 0 if it never was."""
    found = send(client, [(b"HGET", ACCEPTED_LOSS_KEY, partition)])[0]
    return int(found or 0)


def accept_loss(client: Client, ends: dict[int, int]) -> None:
    """Accept that what is gone before the given offsets is gone."""
    send(client, [(b"HSET", ACCEPTED_LOSS_KEY, partition, end) for partition, end in ends.items()])
