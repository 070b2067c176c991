"""The fast reader and writer of Feast's online store: the same bytes in Redis, without Feast.

An entity's row of a view is written whole and only if its version grew, so that a replay, or a worker that
lost its partition, changes nothing. Beside Feast's fields the hash holds fields of Headwater's own, whose names
begin with ``hw:``; Feast neither reads nor removes them.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.entity_key import PROJECT, entity_keys
from feature_repo.redis_commands import Client, Command, Script, post, send, sha1
from feature_repo.row_scripts import delete_script, update_script, whole_row_script
from feature_repo.rows import Rows, Selection
from feature_repo.value_proto import Value, encode, encode_timestamps
from feature_repo.views import Entity, ViewLayout

POSITION = "hw:position"
"""Field of a customer's hash: the offset of the last interaction in its state; -1 after a backfill."""

VERSION = "hw:version"
"""Field of an item's hash: the sum of the versions of the partials in its totals."""

CATALOGUE_VERSION = "hw:catalogue"
"""Field of an item's hash: the offset of the catalogue record in its ``item_catalogue`` row."""

PROFILE_VERSION = "hw:profile"
"""Field of a customer's hash: the offset of the customer record in its ``customer_profile`` row."""

Columns = Mapping[str, Sequence[Value] | npt.NDArray[Any]]
"""A view's features: name to ``[n]`` values."""


class Outcome(IntEnum):
    """What became of a versioned write."""

    NEWER = -1
    """Refused: the store holds a newer version; someone else owns this state now."""
    SAME = 0
    """Refused: the store holds this version, most likely from an earlier attempt."""
    WRITTEN = 1
    OTHER = 2
    """Refused: the store does not hold the version that an update builds on; write the whole row."""


Outcomes = npt.NDArray[np.int8]
"""``int8[n]`` of `Outcome`."""


def ascii_numbers(numbers: Sequence[int] | npt.NDArray[np.int64]) -> list[bytes]:
    """Return integers as Redis writes them."""
    return [b"%d" % number for number in np.asarray(numbers, dtype=np.int64).tolist()]


Posted = Callable[[], Outcomes]
"""Waits until rows are written and returns what became of them; raises redis.RedisError."""


def posted(client: Client, commands: Sequence[Command], script: Script) -> Posted:
    """Send versioned writes, of which each answers with an `Outcome`."""
    replies = post(client, commands, script=script)
    return lambda: np.array(replies(), dtype=np.int8)


class OnlineStore:
    """Rows of feature views in Redis.

    Parameters
    ----------
    client
        From `feature_repo.redis_commands.connect`; shared by threads.
    project
        Feast's project.
    """

    def __init__(self, client: Client, project: str = PROJECT) -> None:
        self.client = client
        self.project = project

    def write_rows(
        self,
        layout: ViewLayout,
        ids: Sequence[str],
        columns: Columns,
        event_times: npt.NDArray[np.int64],
        versions: Sequence[int] | npt.NDArray[np.int64],
        *,
        version_field: str = POSITION,
        extra: Mapping[str, Sequence[bytes]] | None = None,
        replace_same: bool = False,
    ) -> Outcomes:
        """Write rows whose version is newer than the stored one; each row is written whole or not at all.

        `post_rows` does the same, but waits for nothing: it returns what waits, see `redis_commands.post`.

        Parameters
        ----------
        layout
            The view.
        ids
            Entities, one a row; an entity may occur more than once.
        columns
            Every feature of the view, ``[n]`` values each; ``None`` is an absent value.
        event_times
            ``int64[n]``, microseconds since the epoch, not negative; written as the view's time, or one
            microsecond after the stored time where it is not later.
        versions
            ``int64[n]`` within ±2**53; -1 for a backfill, which thus overwrites nothing newer.
        version_field
            Where the version is kept.
        extra
            Fields of Headwater's own to write with the row, ``[n]`` bytes each.
        replace_same
            Also replace a row of the very same version, as a repeated backfill does.

        Returns
        -------
        int8[n]
            An `Outcome` for each row.

        Raises
        ------
        ValueError
            When columns are missing, unknown or of another length, or a time is negative.
        redis.RedisError
            When Redis cannot be reached; rows may have been written by then, and may be written again.
        """
        return self.post_rows(
            layout,
            ids,
            columns,
            event_times,
            versions,
            version_field=version_field,
            extra=extra,
            replace_same=replace_same,
        )()

    def post_rows(
        self,
        layout: ViewLayout,
        ids: Sequence[str],
        columns: Columns,
        event_times: npt.NDArray[np.int64],
        versions: Sequence[int] | npt.NDArray[np.int64],
        *,
        version_field: str = POSITION,
        extra: Mapping[str, Sequence[bytes]] | None = None,
        replace_same: bool = False,
    ) -> Posted:
        """Begin what `write_rows` does, and return what waits for it."""
        extra = extra or {}
        times = np.asarray(event_times, dtype=np.int64)
        _check(layout, len(ids), columns, times, versions, extra)
        script = whole_row_script(layout, tuple(extra), version_field, replace_same)
        values = [encode(kind, columns[name]) for name, kind in layout.features]
        keys, stamps = self.keys(layout.entity, ids), encode_timestamps(times)
        rows = zip(keys, ascii_numbers(versions), stamps, *values, *extra.values(), strict=True)
        digest = sha1(script)
        commands: list[Command] = [(b"EVALSHA", digest, b"1", *row) for row in rows]
        return posted(self.client, commands, script)

    def post_updates(
        self,
        layout: ViewLayout,
        ids: Sequence[str],
        columns: Columns,
        event_times: npt.NDArray[np.int64],
        versions: Sequence[int] | npt.NDArray[np.int64],
        bases: Sequence[int] | npt.NDArray[np.int64],
        *,
        version_field: str = POSITION,
        extra: Mapping[str, Sequence[bytes]] | None = None,
    ) -> Posted:
        """Begin to write what has changed of rows whose stored version is the one that the change builds on.

        The row is then what `write_rows` would have made of it, at half the cost where half of it has changed.

        Parameters
        ----------
        columns
            Features that may have changed, ``[n]`` values each.
        bases
            ``int64[n]``: versions of the whole rows that the caller knows.

        Others as in `write_rows`.

        Returns
        -------
        Callable
            Waits for the replies and returns ``int8[n]``: `Outcome.WRITTEN`, or `Outcome.OTHER` where the store holds
            another version.
        """
        extra = extra or {}
        times = np.asarray(event_times, dtype=np.int64)
        script = update_script(layout, tuple(columns), tuple(extra), version_field)
        values = [encode(layout.type_of(name), column) for name, column in columns.items()]
        keys, stamps = self.keys(layout.entity, ids), encode_timestamps(times)
        rows = zip(keys, ascii_numbers(versions), stamps, *values, *extra.values(), ascii_numbers(bases), strict=True)
        digest = sha1(script)
        commands: list[Command] = [(b"EVALSHA", digest, b"1", *row) for row in rows]
        return posted(self.client, commands, script)

    def read_rows(self, selection: Selection, ids: Sequence[str]) -> Rows:
        """Read the selected fields of entities, in one round trip for all.

        Raises
        ------
        redis.RedisError
            When Redis cannot be reached.
        """
        keys = self.keys(selection.entity, ids)
        return Rows(selection, send(self.client, [(b"HMGET", key, *selection.fields) for key in keys]))

    def delete_entities(self, entity: Entity, ids: Sequence[str]) -> int:
        """Remove whole hashes, Headwater's own fields included, and return how many there were."""
        return sum(send(self.client, [(b"UNLINK", key) for key in self.keys(entity, ids)]))

    def delete_rows(
        self,
        layout: ViewLayout,
        ids: Sequence[str],
        versions: Sequence[int] | npt.NDArray[np.int64],
        *,
        version_field: str,
    ) -> Outcomes:
        """Remove one view's fields where the stored version is not newer; the version stays, as a fence.

        Returns
        -------
        int8[n]
            `Outcome.WRITTEN` or `Outcome.NEWER` for each entity.
        """
        script = delete_script(layout, version_field)
        rows = zip(self.keys(layout.entity, ids), ascii_numbers(versions), strict=True)
        digest = sha1(script)
        commands: list[Command] = [(b"EVALSHA", digest, b"1", *row) for row in rows]
        return np.array(send(self.client, commands, script=script), dtype=np.int8)

    def keys(self, entity: Entity, ids: Sequence[str]) -> list[bytes]:
        """Return the keys of entities' hashes."""
        return entity_keys(entity.join_key, ids, self.project)


def _check(
    layout: ViewLayout,
    n: int,
    columns: Columns,
    event_times: npt.NDArray[np.int64],
    versions: Sequence[int] | npt.NDArray[np.int64],
    extra: Mapping[str, Sequence[bytes]],
) -> None:
    wrong = set(columns) ^ set(layout.names)
    if wrong:
        raise ValueError(f"view {layout.name!r}: columns {sorted(wrong)} are missing or unknown; write whole rows")
    sizes = {name: len(values) for name, values in {**columns, **extra}.items()}
    sizes |= {"event_times": len(event_times), "versions": len(versions)}
    uneven = {name: size for name, size in sizes.items() if size != n}
    if uneven:
        raise ValueError(f"view {layout.name!r}: {n} ids, but columns of other lengths: {uneven}")
    if n and event_times.min() < 0:
        raise ValueError(f"view {layout.name!r}: event time {event_times.min()} is before 1970")
