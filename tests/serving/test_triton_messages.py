"""What goes to Triton and what comes back, byte by byte: a server that is none says what a test tells it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest

from serving.triton.client import TritonClient, TritonError
from serving.triton.repository import ModelRepository
from tests.serving.test_connection import listening, read

CATEGORICAL = np.arange(6, dtype=np.int32).reshape(2, 3)
CONTINUOUS = np.array([[0.5], [-1.0]], np.float32)


def output(name: str, datatype: str, shape: list[int], size: int) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def message(outputs: list[dict[str, object]], content: bytes) -> tuple[bytes, bytes]:
    return json.dumps({"outputs": outputs}).encode(), content


class Said:
    """A server that says `head` (JSON) and `content` whatever it is asked; `asked` is what it was asked."""

    def __init__(self, head: bytes, content: bytes, status: bytes = b"200 OK") -> None:
        lengths = len(head), len(head) + len(content)
        self._reply = (
            b"HTTP/1.1 %s\r\nInference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n" % (status, *lengths)
            + head
            + content
        )
        self.asked: list[bytes] = []

    def __call__(self, connected: socket.socket, _: int) -> None:
        while (body := read(connected)) is not None:
            self.asked.append(body)
            connected.sendall(self._reply)


def test_arrays_go_out_as_they_lie_in_memory_and_come_back_by_name(tmp_path: Path) -> None:
    rows, scores = np.array([[3, -1]], np.int64), np.array([[0.25, 0.0]], np.float32)
    outputs = [output("ITEMS", "INT64", [1, 2], 16), output("SCORES", "FP32", [1, 2], 8)]
    said = Said(*message(outputs, rows.tobytes() + scores.tobytes()))
    with listening(said) as address:
        client = TritonClient(address, ModelRepository(tmp_path), timeout_s=10)
        found = client.retrieve(7, CATEGORICAL, CONTINUOUS[:, ::-1], 2)()
        client.close()
    np.testing.assert_array_equal(found[0], rows)
    np.testing.assert_array_equal(found[1], scores)
    contents = CATEGORICAL.tobytes() + CONTINUOUS.tobytes() + np.array([2], np.int32).tobytes()
    [asked] = said.asked
    assert asked.endswith(contents)
    assert json.loads(asked.removesuffix(contents)) == {
        "inputs": [
            output("CATEGORICAL", "INT32", [2, 3], 24),
            output("CONTINUOUS", "FP32", [2, 1], 8),
            output("K", "INT32", [1], 4),
        ],
        "parameters": {"binary_data_output": True},
    }


@pytest.mark.parametrize(
    ("head", "content"),
    [
        (b"", b"12345678"),
        (b"{}", b""),
        (b"[]", b""),
        (b'{"outputs": [{"name": "ITEMS"}]}', b""),
        message([output("ITEMS", "INT64", [3], 8)], bytes(8)),
        message([output("ITEMS", "INT64", [2], 16)], bytes(8)),
    ],
)
def test_what_is_no_answer_is_an_error(tmp_path: Path, head: bytes, content: bytes) -> None:
    with listening(Said(head, content)) as address:
        client = TritonClient(address, ModelRepository(tmp_path), timeout_s=10)
        nearest = client.retrieve(1, CATEGORICAL, CONTINUOUS, 2)
        with pytest.raises(TritonError, match="retriever 1: not an inference's response"):
            nearest()
        client.close()


@pytest.mark.parametrize("said", [b'{"error": "no such model"}', b"no such model"])
def test_a_refusal_is_told_in_its_words(tmp_path: Path, said: bytes) -> None:
    with listening(Said(said, b"", b"400 Bad Request")) as address:
        client = TritonClient(address, ModelRepository(tmp_path), timeout_s=10)
        nearest = client.retrieve(1, CATEGORICAL, CONTINUOUS, 2)
        with pytest.raises(TritonError, match=r"retriever 1: no such model$"):
            nearest()
        client.close()
