"""Arrays on the wire and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from serving.triton.tensors import TensorsError, request, response


def test_a_request_tells_every_array_by_name_type_shape_and_size() -> None:
    codes, numbers = np.arange(6, dtype=np.int32).reshape(2, 3), np.array([[0.5], [-1.0]], np.float32)
    header, *contents = request({"CODES": codes, "NUMBERS": numbers[:, ::-1]})
    assert json.loads(header) == {
        "inputs": [
            {"name": "CODES", "datatype": "INT32", "shape": [2, 3], "parameters": {"binary_data_size": 24}},
            {"name": "NUMBERS", "datatype": "FP32", "shape": [2, 1], "parameters": {"binary_data_size": 8}},
        ],
        "parameters": {"binary_data_output": True},
    }
    assert contents == [codes.tobytes(), numbers.tobytes()]


def output(name: str, datatype: str, shape: list[int], size: int) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def test_a_response_gives_the_arrays_by_name() -> None:
    rows, scores = np.array([[3, -1]], np.int64), np.array([[0.25, 0.0]], np.float32)
    header = json.dumps(
        {"model_name": "m", "outputs": [output("ITEMS", "INT64", [1, 2], 16), output("SCORES", "FP32", [1, 2], 8)]}
    ).encode()
    found = response(memoryview(header + rows.tobytes() + scores.tobytes()), len(header))
    assert found.keys() == {"ITEMS", "SCORES"}
    np.testing.assert_array_equal(found["ITEMS"], rows)
    np.testing.assert_array_equal(found["SCORES"], scores)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}",
        b'{"outputs": [{"name": "A"}]}',
        json.dumps({"outputs": [output("A", "FP32", [3], 8)]}).encode(),
        json.dumps({"outputs": [output("A", "FP32", [2], 12)]}).encode(),
        json.dumps({"outputs": [output("A", "BYTES", [2], 8)]}).encode(),
    ],
)
def test_what_is_no_answer_is_an_error(header: bytes) -> None:
    with pytest.raises(TensorsError, match="not an inference's response"):
        response(memoryview(header + bytes(8)), len(header))
