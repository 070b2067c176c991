"""Arrays as an inference of KServe's protocol 2 carries them: a header in JSON, then each as it lies in memory."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

HEADER_LENGTH = "Inference-Header-Content-Length"
"""The HTTP header that says where the JSON ends."""

_DTYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype(np.float32),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

Arrays = Mapping[str, NDArray[Any]]


class TensorsError(ValueError):
    """What came is no answer to an inference; the message says what is wrong with it."""


class _Size(msgspec.Struct):
    binary_data_size: int


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: _Size


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    parameters: dict[str, bool]


class _Response(msgspec.Struct):
    outputs: list[_Tensor]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Response)


def request(arrays: Arrays) -> list[bytes]:
    """The parts of a request's body, of which the first is the header; arrays are of float32, int32 or int64."""
    contents = [array.tobytes() for array in arrays.values()]
    inputs = [
        _Tensor(name, _NAMES[array.dtype], list(array.shape), _Size(len(content)))
        for (name, array), content in zip(arrays.items(), contents, strict=True)
    ]
    return [_ENCODER.encode(_Request(inputs, {"binary_data_output": True})), *contents]


def response(body: memoryview, header_length: int) -> dict[str, NDArray[Any]]:
    """The arrays of a response's body, by name; views of it. Raises TensorsError."""
    try:
        outputs = _DECODER.decode(body[:header_length]).outputs
        ends = list(accumulate((each.parameters.binary_data_size for each in outputs), initial=header_length))
        if ends[-1] != len(body):
            raise ValueError(f"it has {len(body)} bytes, its header says {ends[-1]}")
        return {
            each.name: np.frombuffer(body[start:end], _DTYPES[each.datatype]).reshape(each.shape)
            for each, (start, end) in zip(outputs, pairwise(ends), strict=True)
        }
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        raise TensorsError(f"not an inference's response: {error}") from error
