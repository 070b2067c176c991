"""An item's total, made of its parts; where possible written with a part, in one script.

A worker that holds most partitions knows most parts of an item without reading them. It sends the new total with
the new part, and the versions of the other parts that the total was made of; where the store holds other versions,
it takes the part only, and the caller reads what is there. Most batches only look at an item: then no more of the
total is sent than looks change, where the store's total is the one before.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from feature_repo.entity_key import timestamp_field
from feature_repo.item_partials import STATE_FIELD, VERSION_FIELD, Partials
from feature_repo.items_state import ITEM_STATE, TOTALS, ItemStates, total
from feature_repo.online_store import VERSION, Columns, OnlineStore, Posted, ascii_numbers, posted
from feature_repo.redis_commands import Command, Script, sha1
from feature_repo.row_scripts import lua_literal, row_script
from feature_repo.value_proto import encode, encode_timestamps
from feature_repo.views import ITEM, ViewLayout

NONE = -1
"""Version of a part that does not exist."""

_GUARD = """
local found = redis.call('HMGET', KEYS[1], {fields})
local own, total = found[{own}], found[{total}]
if own and tonumber(own) > tonumber(ARGV[{part}]) then return -1 end
if {others} ~= ARGV[{part} + 2] or {another} then
  redis.call('HSET', KEYS[1], {version_field}, ARGV[{part}], {state_field}, ARGV[{part} + 1])
  return 2
end
local stored = {{total, found[{total} + 1]}}
"""


_NEWER = "(total and tonumber(total) > tonumber(ARGV[1]))"
_NOT_THE_ONE_BEFORE = "total ~= ARGV[{part} + 3]"

_LOOKS = ("hot_slot", "hot")
"""Features that a look at an item changes."""


def _total_columns(sums: ItemStates) -> Columns:
    """Return the columns of the view ``item_purchases`` for ``ITEM_STATE[n]`` totals."""
    numbers = (*TOTALS, "newest_day", "hot_slot")
    return {**{name: sums[name] for name in numbers}, "daily": sums["daily"], "hot": sums["hot"]}


@lru_cache
def _script(layout: ViewLayout, names: tuple[str, ...], sources: tuple[str, ...], source: str) -> Script:
    part = 3 + len(names)
    version_field, state_field = f"{VERSION_FIELD}{source}", f"{STATE_FIELD}{source}"
    fields = [*(f"{VERSION_FIELD}{each}".encode() for each in sources), VERSION.encode(), timestamp_field(layout.name)]
    others = " .. ',' .. ".join(f"(found[{i}] or '')" for i, each in enumerate(sources, start=1) if each != source)
    guard = _GUARD.format(
        fields=", ".join(map(lua_literal, fields)),
        own=sources.index(source) + 1,
        total=len(sources) + 1,
        part=part,
        another=_NEWER if names == layout.names else _NOT_THE_ONE_BEFORE.format(part=part),
        others=others or "''",
        version_field=lua_literal(version_field.encode()),
        state_field=lua_literal(state_field.encode()),
    )
    return row_script(layout, names, (version_field, state_field), VERSION, guard)


def post_parts_and_totals(
    store: OnlineStore,
    layout: ViewLayout,
    sources: tuple[str, ...],
    source: str,
    ids: Sequence[str],
    parts: ItemStates,
    sums: ItemStates,
    versions: npt.NDArray[np.int64],
    time: int,
    before: npt.NDArray[np.int64] | None = None,
) -> Posted:
    """Begin to replace a source's parts, and the totals where they are made of what the store holds.

    Parameters
    ----------
    layout
        Of the view ``item_purchases``.
    sources, source
        All sources there can be, and the one whose parts are written.
    parts, sums
        ``ITEM_STATE[n]``: the new parts, and the totals with them.
    versions
        ``int64[n, len(sources)]``: of the parts in the totals, the new ones' included; `NONE` where there is none.
    time
        Of the rows, microseconds since the epoch.
    before
        ``int64[n]``: the own parts' versions until now, where they and the new ones differ in nothing but what looks
        change. None: they may differ in anything.

    Returns
    -------
    Callable
        Waits for the replies and returns ``int8[n]``: `Outcome.WRITTEN`; `Outcome.OTHER` where only the part was taken;
        `Outcome.NEWER` where neither was.
    """
    names = layout.names if before is None else _LOOKS
    script = _script(layout, names, sources, source)
    own = sources.index(source)
    columns = _total_columns(sums)
    values = [encode(layout.type_of(name), columns[name]) for name in names]
    sum_versions = np.where(versions == NONE, 0, versions).sum(axis=1)
    states = np.ascontiguousarray(parts, dtype=ITEM_STATE).view(f"V{ITEM_STATE.itemsize}").tolist()
    rows = zip(
        store.keys(ITEM, ids),
        ascii_numbers(sum_versions),
        encode_timestamps(np.full(len(ids), time, dtype=np.int64)),
        *values,
        ascii_numbers(versions[:, own]),
        states,
        _listed(np.delete(versions, own, axis=1)),
        *([] if before is None else [ascii_numbers(sum_versions - versions[:, own] + before)]),
        strict=True,
    )
    digest = sha1(script)
    commands: list[Command] = [(b"EVALSHA", digest, b"1", *row) for row in rows]
    return posted(store.client, commands, script)


def write_totals(store: OnlineStore, layout: ViewLayout, item_ids: Sequence[str], parts: Partials, time: int) -> None:
    """Write what parts that were read come to, unless a newer total is there.

    Parameters
    ----------
    layout: of the view ``item_purchases``.
    parts: of those items.
    time: of the rows, microseconds since the epoch.
    """
    store.write_rows(
        layout,
        item_ids,
        _total_columns(total(parts.states, parts.offsets)),
        np.full(len(item_ids), time, dtype=np.int64),
        parts.total_versions(),
        version_field=VERSION,
        replace_same=True,
    )


def _listed(versions: npt.NDArray[np.int64]) -> list[str]:
    """Return each row's versions as the script puts them together."""
    return [",".join(["" if version == NONE else str(version) for version in row]) for row in versions.tolist()]
