"""The Lua that writes and removes an entity's row of a view: looks at what is stored, then writes all or nothing."""

from collections.abc import Sequence
from functools import lru_cache

from feature_repo.entity_key import feature_field, timestamp_field
from feature_repo.redis_commands import Script
from feature_repo.views import ViewLayout

# A time that is not later than the stored one becomes the stored one plus a microsecond: Feast drops rows whose
# time has not grown, and readers that cache by time would not notice the change. Mostly the seconds tell, which are
# five digits to the base of 128, smallest first, between two tags (from 1978 to 3058); else the whole is put together.
_WRITE_ROW = """
{guard}
local time = ARGV[2]
local function seconds(data)
  local _, a, b, c, d, e, tag = string.byte(data, 1, 7)
  if tag == 16 then return a + b * 128 + c * 16384 + d * 2097152 + e * 268435456 end
end
local new, old = seconds(time), stored[2] and seconds(stored[2])
if stored[2] and not (new and old and new > old) then
  local function micros(data)
    local total, at = 0, 1
    while at <= #data do
      local tag, value, scale, byte = string.byte(data, at), 0, 1, 128
      while byte > 127 do
        at = at + 1
        byte = string.byte(data, at)
        value = value + byte % 128 * scale
        scale = scale * 128
      end
      at = at + 1
      if tag == 8 then total = total + value * 1000000 else total = total + math.floor(value / 1000) end
    end
    return total
  end
  local before = micros(stored[2])
  if micros(time) <= before then
    local function varint(value)
      local out = ''
      while value > 127 do
        out = out .. string.char(value % 128 + 128)
        value = math.floor(value / 128)
      end
      return out .. string.char(value)
    end
    local after = before + 1
    time = '\\8' .. varint(math.floor(after / 1000000)) .. '\\16' .. varint(after % 1000000 * 1000)
  end
end
redis.call('HSET', KEYS[1], {version_field}, ARGV[1], {time_field}, time{pairs})
return 1
"""

_READ = """
local stored = redis.call('HMGET', KEYS[1], {version_field}, {time_field})
"""

_CHECK_VERSION = """
if stored[1] then
  local current, version = tonumber(stored[1]), tonumber(ARGV[1])
  if current > version then return -1 end
  if current == version and {refuse_same} then return 0 end
end
"""

_CHECK_BASE = """
if stored[1] ~= ARGV[{base}] then return 2 end
"""

_DELETE_VIEW = """
local stored = redis.call('HGET', KEYS[1], {version_field})
if stored and tonumber(stored) > tonumber(ARGV[1]) then return -1 end
redis.call('HDEL', KEYS[1], {fields})
redis.call('HSET', KEYS[1], {version_field}, ARGV[1])
return 1
"""


def lua_literal(data: bytes) -> str:
    """Return a Lua string literal of any bytes."""
    return "'" + "".join(f"\\{byte:03d}" for byte in data) + "'"


@lru_cache
def whole_row_script(layout: ViewLayout, extra: tuple[str, ...], version_field: str, replace_same: bool) -> Script:
    """The script with a view's field names in it: half as many arguments to send as with names in between."""
    check = _CHECK_VERSION.format(refuse_same="false" if replace_same else "true")
    return row_script(layout, layout.names, extra, version_field, _read(layout, version_field) + check)


@lru_cache
def update_script(layout: ViewLayout, names: tuple[str, ...], extra: tuple[str, ...], version_field: str) -> Script:
    """The same for some features of a row; the version that it builds on is the last argument."""
    check = _CHECK_BASE.format(base=3 + len(names) + len(extra))
    return row_script(layout, names, extra, version_field, _read(layout, version_field) + check)


def _read(layout: ViewLayout, version_field: str) -> str:
    return _READ.format(
        version_field=lua_literal(version_field.encode()), time_field=lua_literal(timestamp_field(layout.name))
    )


def row_script(
    layout: ViewLayout, names: Sequence[str], extra: Sequence[str], version_field: str, guard: str
) -> Script:
    """Return a script that writes a row, whose arguments are its version, its time, its values in the given order.

    Parameters
    ----------
    names, extra
        Features and fields of Headwater's own that are written.
    guard
        Lua that returns an `Outcome`, or leaves the stored version and time in a table called ``stored``. Arguments
        of its own come after those of the row.
    """
    fields = [feature_field(layout.name, name) for name in names]
    fields.extend(name.encode() for name in extra)
    return Script(
        _WRITE_ROW.format(
            guard=guard,
            version_field=lua_literal(version_field.encode()),
            time_field=lua_literal(timestamp_field(layout.name)),
            pairs="".join(f", {lua_literal(field)}, ARGV[{i}]" for i, field in enumerate(fields, start=3)),
        )
    )


@lru_cache
def delete_script(layout: ViewLayout, version_field: str) -> Script:
    """Return a script that removes a view's fields and leaves the version; its argument is the version."""
    fields = [timestamp_field(layout.name), *(feature_field(layout.name, name) for name in layout.names)]
    return Script(
        _DELETE_VIEW.format(
            version_field=lua_literal(version_field.encode()), fields=", ".join(map(lua_literal, fields))
        )
    )
