"""Values and times against google's protobuf, without Feast (which tests/parity compares with)."""

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.value_proto import (
    VECTOR_ROWS,
    ValueType,
    decode,
    decode_int64,
    decode_one,
    decode_timestamp,
    encode,
    encode_bytes,
    encode_timestamps,
    read_varint,
    varint,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
MANY = VECTOR_ROWS * 2


@given(INT64)
def test_a_varint_reads_back(value: int) -> None:
    wire = varint(value)
    read, end = read_varint(b"\xff" + wire + b"\xff", 1)
    assert read == value % 2**64
    assert end == 1 + len(wire)


@given(st.lists(st.one_of(INT64, st.integers(-1, 300)), min_size=MANY, max_size=MANY))
def test_integers_are_encoded_the_same_by_column_and_one_by_one(values: list[int]) -> None:
    column = encode(ValueType.INT64, np.array(values, dtype=np.int64))
    assert column == [encode(ValueType.INT64, [value])[0] for value in values]
    assert decode_int64(column).tolist() == values
    assert decode(ValueType.INT64, column) == values


@pytest.mark.parametrize("rows", [3, MANY])
def test_absent_integers_become_what_is_asked_for(rows: int) -> None:
    column = encode(ValueType.INT64, [7, None, 0] * rows)
    assert column[1] == b""
    assert decode_int64([*column, None], missing=-5).tolist() == [7, -5, 0] * rows + [-5]


@pytest.mark.parametrize("rows", [1, MANY])
def test_a_value_of_another_type_is_refused(rows: int) -> None:
    strings = encode(ValueType.STRING, ["seven"] * rows)
    with pytest.raises(ValueError, match="expected a INT64 value"):
        decode_int64(strings)
    with pytest.raises(ValueError, match="expected a BYTES value"):
        decode(ValueType.BYTES, strings)
    with pytest.raises(ValueError, match="expected a DOUBLE value"):
        decode(ValueType.DOUBLE, strings)
    with pytest.raises(ValueError, match="expected a STRING value"):
        decode(ValueType.STRING, encode(ValueType.INT64, [7] * rows))


@given(st.text(max_size=300), st.binary(max_size=300), st.booleans(), st.floats(allow_nan=False))
def test_other_values_read_back(text: str, data: bytes, flag: bool, number: float) -> None:
    for kind, value in (
        (ValueType.STRING, text),
        (ValueType.BYTES, data),
        (ValueType.BOOL, flag),
        (ValueType.DOUBLE, number),
    ):
        assert decode_one(kind, encode(kind, [value])[0]) == value


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 2_000_000])
def test_bytes_of_any_length_read_back(size: int) -> None:
    data = bytes(size)
    assert decode(ValueType.BYTES, encode(ValueType.BYTES, [data])) == [data]


@given(st.lists(st.integers(0, 2**55), max_size=MANY))
def test_times_are_protobuf_timestamps(micros: list[int]) -> None:
    wire = encode_timestamps(np.array(micros, dtype=np.int64))
    for data, instant in zip(wire, micros, strict=True):
        expected = Timestamp()
        expected.FromMicroseconds(instant)
        assert data == expected.SerializeToString()
        assert decode_timestamp(data) == instant


def test_times_at_the_seams() -> None:
    instants = [0, 1, 999_999, 1_000_000, 127_000_000, 1_700_000_000_000_000] * MANY
    assert [decode_timestamp(data) for data in encode_timestamps(np.array(instants))] == instants
    assert decode_timestamp(None) == -1
    with pytest.raises(ValueError, match="not a protobuf timestamp"):
        decode_timestamp(b"\x22\x01a")


def test_rows_of_numbers_are_encoded_like_their_bytes() -> None:
    numbers = np.arange(24, dtype="<i4").reshape(3, 8)
    assert encode(ValueType.BYTES, numbers) == [encode_bytes(row.tobytes()) for row in numbers]
    wide = np.arange(2 * 100, dtype="<i4").reshape(2, 100)
    assert encode(ValueType.BYTES, wide[:, 10:]) == [encode_bytes(row.tobytes()) for row in wide[:, 10:]]
    values = [None, b"", b"x" * 127, b"y" * 128, b"z" * 70_000, b"y" * 128]
    assert encode(ValueType.BYTES, values) == [encode_bytes(value) for value in values]
