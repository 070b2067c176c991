"""Feast's value encoding, a column at a time and without protobuf objects.

Feast stores each value as a protobuf ``feast.types.Value`` and each row's event time as a
``google.protobuf.Timestamp``: a tag byte, then a varint, or a length and bytes, or eight bytes.
Whole columns are encoded and decoded here by numpy and by slicing; an absent value is the empty message.

Wire format: protobuf's encoding specification; field numbers: ``feast/protos/feast/types/Value.proto``.
"""

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

VARINT_BYTES = 10
"""The longest varint of a 64-bit integer."""

VECTOR_ROWS = 24
"""Below this many values a plain loop is quicker than numpy's fixed costs."""

MICROS = 1_000_000
"""Microseconds in a second."""

Value = str | int | bool | float | bytes | None
"""One feature value; ``None`` where it is absent."""


class ValueType(IntEnum):
    """Types of feature values; the number is the field of ``feast.types.Value`` that holds it."""

    BYTES = 1
    STRING = 2
    INT64 = 4
    DOUBLE = 5
    BOOL = 7


_BYTES_TAG = b"\x0a"
_STRING_TAG = b"\x12"
_INT64_TAG = b"\x20"
_DOUBLE_TAG = b"\x29"
_TRUE = b"\x38\x01"
_FALSE = b"\x38\x00"
_SECONDS_TAG = b"\x08"
_NANOS_TAG = b"\x10"


def varint(value: int) -> bytes:
    """Return the varint of an integer in [-2**63, 2**64); a negative one takes ten bytes, as in protobuf."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """Return the unsigned integer that begins at ``start`` and the position after it.

    Raises
    ------
    ValueError
        When the data end within it or it is longer than ten bytes.
    """
    value = shift = 0
    for byte in data[start : start + VARINT_BYTES]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, start + shift // 7
    raise ValueError(f"no varint at byte {start} of {data[:32]!r}")


_SHORT = [bytes([n]) for n in range(128)]
_BYTES_HEAD = [_BYTES_TAG + n for n in _SHORT]
_STRING_HEAD = [_STRING_TAG + n for n in _SHORT]


def encode_string(value: str | None) -> bytes:
    """Return one STRING value."""
    if value is None:
        return b""
    data = value.encode()
    return (_STRING_HEAD[len(data)] if len(data) < 128 else _STRING_TAG + varint(len(data))) + data


def encode_bytes(value: bytes | None) -> bytes:
    """Return one BYTES value."""
    if value is None:
        return b""
    return (_BYTES_HEAD[len(value)] if len(value) < 128 else _BYTES_TAG + varint(len(value))) + value


def encode_int64(value: int | None) -> bytes:
    """Return one INT64 value."""
    return b"" if value is None else _INT64_TAG + varint(int(value))


def encode_double(value: float | None) -> bytes:
    """Return one DOUBLE value."""
    return b"" if value is None else _DOUBLE_TAG + struct.pack("<d", value)


def encode_bool(value: bool | None) -> bytes:
    """Return one BOOL value."""
    return b"" if value is None else (_TRUE if value else _FALSE)


def _tagged_varints(tag: bytes, values: npt.NDArray[np.int64]) -> list[bytes]:
    """Return ``tag`` + varint of each of ``int64[n]``.

    numpy's fixed-width byte strings drop trailing zero bytes, which is what a varint needs: its last byte is
    never zero, save for the value zero.
    """
    unsigned = values.astype(np.int64, copy=False).view(np.uint64)
    shifts = np.arange(VARINT_BYTES, dtype=np.uint64) * np.uint64(7)
    rest = unsigned[:, None] >> shifts
    wire = np.empty((len(unsigned), VARINT_BYTES + 1), dtype=np.uint8)
    wire[:, 0] = tag[0]
    wire[:, 1:] = rest & np.uint64(0x7F)
    wire[:, 1:-1] |= (rest[:, 1:] != 0).astype(np.uint8) << np.uint8(7)
    out: list[bytes] = wire.view(f"S{VARINT_BYTES + 1}").ravel().tolist()
    for i in np.flatnonzero(unsigned == 0).tolist():
        out[i] = tag + b"\x00"
    return out


def _int64_column(values: Sequence[Any] | npt.NDArray[Any]) -> list[bytes]:
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        if len(values) >= VECTOR_ROWS:
            return _tagged_varints(_INT64_TAG, values)
        values = values.tolist()
    elif len(values) >= VECTOR_ROWS and None not in values:
        return _tagged_varints(_INT64_TAG, np.asarray(values, dtype=np.int64))
    return [encode_int64(value) for value in values]


def _string_column(values: Sequence[Any] | npt.NDArray[Any]) -> list[bytes]:
    known: dict[Any, bytes] = {}
    out = []
    for value in values.tolist() if isinstance(values, np.ndarray) else values:
        encoded = known.get(value)
        if encoded is None:
            encoded = known[value] = encode_string(value)
        out.append(encoded)
    return out


def _bytes_column(values: Sequence[Any] | npt.NDArray[Any]) -> list[bytes]:
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return _fixed_width(values)
    heads = _BYTES_HEADS
    out = []
    for value in values:
        if value is None:
            out.append(b"")
            continue
        head = heads.get(len(value))
        out.append((head or _head(len(value))) + value)
    return out


_BYTES_HEADS: dict[int, bytes] = {n: head for n, head in enumerate(_BYTES_HEAD)}
_HEADS_KEPT = 65_536


def _head(length: int) -> bytes:
    """Return the tag and the length before so many bytes; values of a column have few lengths."""
    head = _BYTES_TAG + varint(length)
    if len(_BYTES_HEADS) < _HEADS_KEPT:
        _BYTES_HEADS[length] = head
    return head


def _fixed_width(rows: npt.NDArray[Any]) -> list[bytes]:
    """Return a message for each row of an array of two dimensions: what the row's bytes are."""
    content = np.ascontiguousarray(rows)
    width = content.shape[1] * content.itemsize
    head = _BYTES_TAG + varint(width)
    wire = np.empty((len(content), len(head) + width), dtype=np.uint8)
    wire[:, : len(head)] = np.frombuffer(head, dtype=np.uint8)
    wire[:, len(head) :] = content.view(np.uint8).reshape(len(content), width)
    out: list[bytes] = wire.view(f"V{wire.shape[1]}").ravel().tolist()
    return out


def _column_of(one: Callable[[Any], bytes]) -> Callable[[Any], list[bytes]]:
    def column(values: Sequence[Any] | npt.NDArray[Any]) -> list[bytes]:
        return [one(value) for value in (values.tolist() if isinstance(values, np.ndarray) else values)]

    return column


_ENCODERS: dict[ValueType, Callable[[Any], list[bytes]]] = {
    ValueType.BYTES: _bytes_column,
    ValueType.STRING: _string_column,
    ValueType.INT64: _int64_column,
    ValueType.DOUBLE: _column_of(encode_double),
    ValueType.BOOL: _column_of(encode_bool),
}


def encode(kind: ValueType, values: Sequence[Value] | npt.NDArray[Any]) -> list[bytes]:
    """Return a column as serialised ``feast.types.Value`` messages.

    Parameters
    ----------
    kind
        Type of the feature.
    values
        ``[n]`` values of that type, as a sequence (``None``: absent) or an array; for BYTES also ``[n, k]`` numbers,
        of which a value is a row's bytes.

    Raises
    ------
    TypeError, AttributeError, OverflowError
        When a value is not of the type.
    """
    return _ENCODERS[kind](values)


def _mismatch(kind: ValueType, data: bytes) -> ValueError:
    return ValueError(
        f"expected a {kind.name} value, found {data[:32]!r}: the row was written under another definition of "
        "the feature; write it again"
    )


def _content(kind: ValueType, data: bytes) -> bytes:
    """Return what follows the tag and the length."""
    if data[0] != kind << 3 | 2:
        raise _mismatch(kind, data)
    if data[1] < 0x80:
        return data[2:]
    return data[read_varint(data, 1)[1] :]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _int64(data: bytes) -> int:
    """Return what an INT64 message holds."""
    if data[0] != _INT64_TAG[0]:
        raise _mismatch(ValueType.INT64, data)
    value, _ = read_varint(data, 1)
    return value - (1 << 64) if value >> 63 else value


def decode_one(kind: ValueType, data: bytes | None) -> Value:
    """Return one value from its serialised message; ``None`` for a missing field or an empty message.

    Raises
    ------
    ValueError
        When the message holds another type.
    """
    if not data:
        return None
    if kind is ValueType.STRING:
        return _content(kind, data).decode()
    if kind is ValueType.BYTES:
        return _content(kind, data)
    if kind is ValueType.DOUBLE:
        if data[:1] != _DOUBLE_TAG or len(data) != 9:
            raise _mismatch(kind, data)
        return float(struct.unpack_from("<d", data, 1)[0])
    if data[0] != kind << 3:
        raise _mismatch(kind, data)
    value = _signed(read_varint(data, 1)[0])
    return bool(value) if kind is ValueType.BOOL else value


def decode(kind: ValueType, values: Sequence[bytes | None]) -> list[Value]:
    """Return a column's values from their messages; ``None`` where a field is missing or a message empty.

    Raises
    ------
    ValueError
        When a message holds another type.
    """
    return [decode_one(kind, data) for data in values]


def decode_strings(values: Sequence[bytes | None]) -> list[str]:
    """Return a column of STRING messages, ``""`` where a field is missing or a message empty.

    Raises
    ------
    ValueError
        When a message holds another type.
    """
    # A short string is told apart here: the calls cost more than what they do.
    tag = _STRING_TAG[0]
    return [
        ""
        if not data
        else (data[2:] if data[0] == tag and data[1] < 0x80 else _content(ValueType.STRING, data)).decode()
        for data in values
    ]


def decode_int64(values: Sequence[bytes | None], missing: int = 0) -> npt.NDArray[np.int64]:
    """Return a column of INT64 messages as ``int64[n]``, ``missing`` where there is no value.

    Raises
    ------
    ValueError
        When a message holds another type.
    """
    if len(values) < VECTOR_ROWS:
        return np.array([_int64(data) if data else missing for data in values], dtype=np.int64)
    wire = np.array([data or b"" for data in values], dtype=f"S{VARINT_BYTES + 1}")
    grid = wire.view(np.uint8).reshape(len(values), VARINT_BYTES + 1)
    absent = grid[:, 0] == 0
    strangers = np.flatnonzero(~absent & (grid[:, 0] != _INT64_TAG[0]))
    if len(strangers):
        raise _mismatch(ValueType.INT64, values[strangers[0]] or b"")
    shifts = np.arange(VARINT_BYTES, dtype=np.uint64) * np.uint64(7)
    parts = (grid[:, 1:] & 0x7F).astype(np.uint64) << shifts
    out = np.bitwise_or.reduce(parts, axis=1).view(np.int64)
    return np.where(absent, np.int64(missing), out)


def encode_timestamps(micros: npt.NDArray[np.int64]) -> list[bytes]:
    """Return ``google.protobuf.Timestamp`` messages of ``int64[n]`` microseconds since the epoch."""
    seconds, rest = np.divmod(np.asarray(micros, dtype=np.int64), MICROS)
    if len(seconds) < VECTOR_ROWS:
        pairs = zip(seconds.tolist(), rest.tolist(), strict=True)
        return [
            (_SECONDS_TAG + varint(s) if s else b"") + (_NANOS_TAG + varint(r * 1000) if r else b"") for s, r in pairs
        ]
    left = _tagged_varints(_SECONDS_TAG, seconds)
    right = _tagged_varints(_NANOS_TAG, rest * 1000)
    for side, column in ((left, seconds), (right, rest)):
        for i in np.flatnonzero(column == 0).tolist():
            side[i] = b""
    return [a + b for a, b in zip(left, right, strict=True)]


def decode_timestamp(data: bytes | None) -> int:
    """Return the microseconds since the epoch of a ``google.protobuf.Timestamp``; -1 if there is none.

    Raises
    ------
    ValueError
        When the data are not such a message.
    """
    if data is None:
        return -1
    seconds = nanos = at = 0
    while at < len(data):
        tag = data[at : at + 1]
        value, at = read_varint(data, at + 1)
        if tag == _SECONDS_TAG:
            seconds = _signed(value)
        elif tag == _NANOS_TAG:
            nanos = value
        else:
            raise ValueError(f"not a protobuf timestamp: {data[:32]!r}")
    return seconds * MICROS + nanos // 1000
