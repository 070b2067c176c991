"""What a stream worker is about to write for a partition, kept until it is written.

One entry a partition: what a successor must write again before it goes on, should the worker die in between.
"""

from feature_repo.redis_commands import Client, send


class WriteAhead:
    """The entries of all partitions, in Redis beside the state that they protect."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, partition: int) -> bytes | None:
        """Return a partition's entry, or ``None`` when nothing is under way."""
        entry: bytes | None = send(self._client, [(b"GET", _key(partition))])[0]
        return entry

    def put(self, partition: int, entry: bytes) -> None:
        """Write a partition's entry in place of the one before."""
        send(self._client, [(b"SET", _key(partition), entry)])

    def delete(self, partition: int) -> None:
        """Remove a partition's entry: all of it is written."""
        send(self._client, [(b"DEL", _key(partition))])


def _key(partition: int) -> bytes:
    return b"hw:wal:%d" % partition
