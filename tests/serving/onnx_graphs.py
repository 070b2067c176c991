"""Tiny ONNX graphs with known answers, written as protobuf by hand: the main environment has no `onnx`.

Both compute `float(categorical) @ A + continuous @ B`, so that a test can work the answer out in numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLOAT, INT32 = 1, 6


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def integer(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number)


def message(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def node(operator: str, inputs: list[str], output: str, attribute: bytes = b"") -> bytes:
    return b"".join(message(1, name) for name in inputs) + message(2, output) + message(4, operator) + attribute


def value(name: str, kind: int, dimensions: list[str | int]) -> bytes:
    shape = b"".join(message(1, integer(1, d) if isinstance(d, int) else message(2, d)) for d in dimensions)
    return message(1, name) + message(2, message(1, integer(1, kind) + message(2, shape)))


def tensor(name: str, array: NDArray[np.float32]) -> bytes:
    dimensions = b"".join(integer(1, size) for size in array.shape)
    return dimensions + integer(2, FLOAT) + message(8, name) + message(9, array.astype("<f4").tobytes())


def linear(a: NDArray[np.float32], b: NDArray[np.float32], output: str) -> bytes:
    """A model of inputs `categorical` int32[n, len(a)] and `continuous` float32[n, len(b)].

    With matrices `output` is float32[n, width], with vectors float32[n].
    """
    cast = message(5, message(1, "to") + integer(3, FLOAT) + integer(20, 2))
    shape: list[str | int] = ["n", *map(int, a.shape[1:])]
    graph = b"".join(
        [
            message(1, node("Cast", ["categorical"], "floats", cast)),
            message(1, node("MatMul", ["floats", "a"], "left")),
            message(1, node("MatMul", ["continuous", "b"], "right")),
            message(1, node("Add", ["left", "right"], output)),
            message(2, "linear"),
            message(5, tensor("a", a)),
            message(5, tensor("b", b)),
            message(11, value("categorical", INT32, ["n", len(a)])),
            message(11, value("continuous", FLOAT, ["n", len(b)])),
            message(12, value(output, FLOAT, shape)),
        ]
    )
    return integer(1, 8) + message(7, graph) + message(8, message(1, "") + integer(2, 17))
