"""Bodies of inferences beside tritonclient's own reader and writer of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import np_to_triton_dtype

from serving.triton.tensors import body_of, outputs_of

ARRAYS: dict[str, NDArray[Any]] = {
    "CODES": np.arange(6, dtype=np.int32).reshape(2, 3)[:, ::-1],
    "NUMBERS": np.array([[0.5, -1.0]], np.float32),
    "ROWS": np.array([[3, -1, 7]], np.int64),
    "NONE": np.zeros((0, 4), np.float32),
}


def response(arrays: dict[str, NDArray[Any]]) -> tuple[bytes, int]:
    outputs = [
        {
            "name": name,
            "datatype": np_to_triton_dtype(array.dtype),
            "shape": list(array.shape),
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in arrays.items()
    ]
    head = json.dumps({"model_name": "m", "model_version": "1", "outputs": outputs}).encode()
    return head + b"".join(array.tobytes() for array in arrays.values()), len(head)


def test_a_request_says_what_tritonclient_would() -> None:
    inputs = [
        InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)).set_data_from_numpy(array)
        for name, array in ARRAYS.items()
    ]
    expected, expected_length = InferenceServerClient.generate_request_body(inputs)
    body, length = body_of(ARRAYS)
    assert json.loads(body[:length]) == json.loads(expected[:expected_length])
    assert body[length:] == expected[expected_length:]


def test_a_response_is_read_as_tritonclient_reads_it() -> None:
    body, length = response(ARRAYS)
    expected = InferenceServerClient.parse_response_body(body, header_length=length)
    found = outputs_of(body, length)
    assert found.keys() == ARRAYS.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected.as_numpy(name), strict=True)


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"{}", 2),
        (b"{", 1),
        (response(ARRAYS)[0], 5),
        (response(ARRAYS)[0][:-1], response(ARRAYS)[1]),
        (response({"A": np.zeros(2, np.int8)})[0].replace(b"INT8", b"INT7"), response({"A": np.zeros(2, np.int8)})[1]),
        (response({"A": np.zeros(2, np.int8)})[0].replace(b"INT8", b"INT4"), response({"A": np.zeros(2, np.int8)})[1]),
        (response({"A": np.zeros(2, np.int8)})[0].replace(b"[2]", b"[3]"), response({"A": np.zeros(2, np.int8)})[1]),
    ],
    ids=["no outputs", "no JSON", "half the head", "half the arrays", "no type", "another type", "another shape"],
)
def test_what_is_not_whole_is_refused(body: bytes, length: int) -> None:
    with pytest.raises(ValueError, match=r".+"):
        outputs_of(body, length)
