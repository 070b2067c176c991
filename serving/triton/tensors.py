"""Arrays as an inference's body: a head of JSON, then their bytes, as Triton's binary tensor data extension has it.

tritonclient's own reader and writer of this form define four classes and make some 280 calls an answer; what it says of
types is taken from it. Source: docs/protocol/extension_binary_data.md of Triton's server.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

Arrays = Mapping[str, NDArray[Any]]

_datatype = cache(np_to_triton_dtype)


@cache
def _dtype(datatype: str) -> np.dtype[Any]:
    known: Any = triton_to_np_dtype(datatype)
    if known is None:
        raise ValueError(f"there is no type {datatype!r}")
    found: np.dtype[Any] = np.dtype(known)
    return found


class _Size(msgspec.Struct):
    binary_data_size: int


class _Tensor(msgspec.Struct):
    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: _Size


class _All(msgspec.Struct):
    binary_data_output: bool = True


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    parameters: _All


class _Response(msgspec.Struct):
    outputs: list[_Tensor]


_BINARY = _All()
_read = msgspec.json.Decoder(_Response).decode
_written = msgspec.json.Encoder().encode


def body_of(inputs: Arrays) -> tuple[bytes, int]:
    """The body of a request by its inputs, all outputs asked for as bytes; and the length of its head."""
    tensors = [
        _Tensor(name, array.shape, _datatype(array.dtype), _Size(array.nbytes)) for name, array in inputs.items()
    ]
    head = _written(_Request(tensors, _BINARY))
    return b"".join([head, *[array.tobytes() for array in inputs.values()]]), len(head)


def outputs_of(body: bytes, head_length: int) -> dict[str, NDArray[Any]]:
    """The arrays in the body of a response, by name; they cannot be written to.

    Raises ValueError (msgspec.ValidationError is one) where it is something else, or not all of it.
    """
    found, at = {}, head_length
    for tensor in _read(body[:head_length]).outputs:
        dtype, end = _dtype(tensor.datatype), at + tensor.parameters.binary_data_size
        if end > len(body):
            raise ValueError(f"{tensor.name} ends at byte {end} of {len(body)}")
        found[tensor.name] = np.frombuffer(body[at:end], dtype).reshape(tensor.shape)
        at = end
    return found
