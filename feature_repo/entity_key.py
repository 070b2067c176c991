"""Names of Feast's keys and fields in Redis, for entities with one string join key.

An entity's features of all views live in one hash. Its key is Feast's entity key (serialisation version 3)
followed by the project's name; a feature's field is the little-endian murmur3 hash of ``view:feature``; the
event time of a view is the field ``_ts:view``. Source: ``feast/infra/key_encoding_utils.py`` and
``feast/infra/online_stores/helpers.py``.
"""

import struct
from collections.abc import Iterable

import mmh3

PROJECT = "headwater"
"""Feast's project."""

SERIALISATION_VERSION = 3
"""Version of Feast's entity key serialisation that is implemented here."""

_STRING = 2
"""Feast's ``ValueType.STRING``."""


def key_prefix(join_key: str) -> bytes:
    """Return what every key of an entity begins with, up to the value's length."""
    name = join_key.encode()
    return struct.pack("<III", 1, _STRING, len(name)) + name + struct.pack("<I", _STRING)


def entity_key(join_key: str, value: str, project: str = PROJECT) -> bytes:
    """Return the key of the hash that holds an entity's features."""
    data = value.encode()
    return key_prefix(join_key) + struct.pack("<I", len(data)) + data + project.encode()


def entity_keys(join_key: str, values: Iterable[str], project: str = PROJECT) -> list[bytes]:
    """Return the keys of many entities."""
    prefix, suffix = key_prefix(join_key), project.encode()
    length = struct.Struct("<I").pack
    heads: dict[int, bytes] = {}
    keys = []
    for data in map(str.encode, values):
        size = len(data)
        head = heads.get(size)
        if head is None:
            head = heads[size] = prefix + length(size)
        keys.append(head + data + suffix)
    return keys


def entity_value(join_key: str, key: bytes, project: str = PROJECT) -> str | None:
    """Return the join key's value from a key; ``None`` if the key is of another entity or project."""
    prefix, suffix = key_prefix(join_key), project.encode()
    start = len(prefix) + 4
    if len(key) < start or not key.startswith(prefix):
        return None
    end = start + int.from_bytes(key[len(prefix) : start], "little")
    return key[start:end].decode() if key[end:] == suffix else None


def feature_field(view: str, feature: str) -> bytes:
    """Return the four-byte field of a feature."""
    return struct.pack("<I", mmh3.hash(f"{view}:{feature}", signed=False))


def timestamp_field(view: str) -> bytes:
    """Return the field of a view's event time."""
    return f"_ts:{view}".encode()
