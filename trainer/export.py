"""Keras to ONNX in few steps, and the proof that the result is the same function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tf2onnx
from numpy.typing import NDArray

from trainer.fusion import fuse
from trainer.workflow import Encoded

OPSET = 15
TOLERANCE = 1e-4


class ExportError(RuntimeError):
    """An exported graph that doesn't load or doesn't compute what Keras computes."""


def export(function: Any, output: str, path: Path, sample: Encoded) -> float:
    """Write a traced function of (categorical, continuous) as ONNX and compare the two on a sample.

    The graph's inputs are `categorical` int32[n, C] and `continuous` float32[n, F]; its only output is `output`.
    Returns the largest absolute difference. Raises ExportError where it exceeds `TOLERANCE` or onnxruntime rejects
    the file (the converter's word is not enough: it has written graphs that onnxruntime rejects).
    """
    onnx.save(fuse(converted(function, output)), str(path))
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        answer = session.run([output], {"categorical": sample.codes, "continuous": sample.numbers})[0]
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise ExportError(f"{path.name} does not run in onnxruntime: {error}") from error
    expected: NDArray[np.float32] = function(sample.codes, sample.numbers).numpy()
    difference = float(np.abs(answer - expected).max(initial=0.0)) if answer.shape == expected.shape else float("inf")
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{path.name}: onnxruntime and Keras differ by {difference} (shapes {answer.shape}, {expected.shape}); "
            f"at most {TOLERANCE} is allowed"
        )
    return difference


def converted(function: Any, output: str) -> Any:
    """The traced function as the converter writes it, its output under the given name."""
    model, _ = tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, opset=OPSET, output_path=None
    )
    _rename_output(model.graph, output)
    return model


def _rename_output(graph: Any, name: str) -> None:
    old = graph.output[0].name
    graph.output[0].name = name
    for node in graph.node:
        for field in (node.output, node.input):
            for place, value in enumerate(field):
                if value == old:
                    field[place] = name
