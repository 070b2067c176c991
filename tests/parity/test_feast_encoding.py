"""Every byte that the fast store writes, against Feast's own code and protobuf messages."""

from typing import Any

import numpy as np
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.entity_key import (
    PROJECT,
    SERIALISATION_VERSION,
    entity_key,
    entity_keys,
    entity_value,
    feature_field,
)
from feature_repo.value_proto import VECTOR_ROWS, ValueType, decode, decode_int64, encode

FIELD = {
    ValueType.BYTES: "bytes_val",
    ValueType.STRING: "string_val",
    ValueType.INT64: "int64_val",
    ValueType.DOUBLE: "double_val",
    ValueType.BOOL: "bool_val",
}

VALUES: dict[ValueType, st.SearchStrategy[Any]] = {
    ValueType.BYTES: st.binary(max_size=400),
    ValueType.STRING: st.text(max_size=200),
    ValueType.INT64: st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 130),
    ValueType.DOUBLE: st.floats(allow_nan=False),
    ValueType.BOOL: st.booleans(),
}


def message(kind: ValueType, value: Any) -> bytes:
    proto = ValueProto() if value is None else ValueProto(**{FIELD[kind]: value})
    data: bytes = proto.SerializeToString()
    return data


@pytest.mark.parametrize("kind", list(ValueType))
def test_values_are_the_messages_of_feast(kind: ValueType) -> None:
    @given(st.lists(VALUES[kind] | st.none(), max_size=2 * VECTOR_ROWS))
    def check(values: list[Any]) -> None:
        expected = [message(kind, value) for value in values]
        assert encode(kind, values) == expected
        assert decode(kind, expected) == values

    check()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=VECTOR_ROWS, max_size=3 * VECTOR_ROWS))
def test_whole_columns_of_integers_are_the_messages_of_feast(values: list[int]) -> None:
    expected = [message(ValueType.INT64, value) for value in values]
    assert encode(ValueType.INT64, np.array(values, dtype=np.int64)) == expected
    assert decode_int64(expected).tolist() == values


@given(st.text(min_size=1, max_size=128), st.sampled_from(["customer_id", "item_id"]))
def test_keys_are_those_of_feast(value: str, join_key: str) -> None:
    proto = EntityKey(join_keys=[join_key], entity_values=[ValueProto(string_val=value)])
    key = entity_key(join_key, value)
    assert key == _redis_key(PROJECT, proto, SERIALISATION_VERSION)
    assert key == serialize_entity_key(proto, SERIALISATION_VERSION) + PROJECT.encode()
    assert entity_keys(join_key, [value, value]) == [key, key]
    assert entity_value(join_key, key) == value
    assert entity_value(join_key, key + b"x") is None
    assert entity_value("other", key) is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_fields_are_those_of_feast(view: str, feature: str) -> None:
    assert feature_field(view, feature) == _mmh3(f"{view}:{feature}")
