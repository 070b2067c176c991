"""Rows that were taken away leave their version behind for a while, so that a late writer does not bring them back.

What is left is a number; it goes by itself, and with it the last trace of the entity's key.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from feature_repo.entity_key import feature_field, timestamp_field
from feature_repo.online_store import POSITION, PROFILE_VERSION, OnlineStore, Outcomes
from feature_repo.redis_commands import Command, Script, call, send
from feature_repo.row_scripts import lua_literal
from feature_repo.views import Entity, ViewLayout

FENCE_S = 3600
"""Seconds for which the version stays: far longer than a worker that lost its partition can be asleep unnoticed."""

# A field of another view that is no version keeps the hash: it came after the tombstone that led here.
_TAKE_AWAY = """
local stored = redis.call('HGET', KEYS[1], {version_field})
if stored then
  local current, version = tonumber(stored), tonumber(ARGV[1])
  if current > version then return -1 end
  if current == version then return 0 end
end
redis.call('HDEL', KEYS[1], {fields})
redis.call('HSET', KEYS[1], {version_field}, ARGV[1])
if redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], {other_version}) == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
"""


@lru_cache
def _script(layout: ViewLayout, own_fields: tuple[str, ...]) -> Script:
    fields = [timestamp_field(layout.name), *(feature_field(layout.name, name) for name in layout.names)]
    fields.extend(name.encode() for name in own_fields)
    return Script(
        _TAKE_AWAY.format(
            version_field=lua_literal(POSITION.encode()),
            other_version=lua_literal(PROFILE_VERSION.encode()),
            fields=", ".join(map(lua_literal, fields)),
        )
    )


def take_away(
    store: OnlineStore, layout: ViewLayout, ids: Sequence[str], positions: Sequence[int], own_fields: Sequence[str]
) -> Outcomes:
    """Remove customers' rows of a view and what is kept beside them, where their position has grown.

    Parameters
    ----------
    positions: ``[n]`` of the customers' erasures; left behind as a fence.
    own_fields: Headwater's own fields to remove, too.
    """
    script = _script(layout, tuple(own_fields))
    keys = store.keys(layout.entity, ids)
    commands = [call(script, key, position, FENCE_S) for key, position in zip(keys, positions, strict=True)]
    return np.array(send(store.client, commands, script=script), dtype=np.int8)


def keep(store: OnlineStore, entity: Entity, ids: Sequence[str]) -> None:
    """Let entities stay of whom only fences were left, because they have come back."""
    commands: list[Command] = [(b"PERSIST", key) for key in store.keys(entity, ids)]
    send(store.client, commands)
