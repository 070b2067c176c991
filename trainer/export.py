"""Keras to ONNX in few steps, and the proof that the result is the same function."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tf2onnx
from numpy.typing import NDArray

from trainer.factoring import factored
from trainer.fusion import fuse
from trainer.stack import SEEN, Stack, with_calibration, with_trees
from trainer.workflow import Encoded

OPSET = 15
TOLERANCE = 1e-4


class ExportError(RuntimeError):
    """An exported graph that doesn't load or doesn't compute what Keras computes."""


def export(function: Any, output: str, path: Path, sample: Encoded, shared: Sequence[int] = ()) -> float:
    """Write a traced function of (categorical, continuous) as ONNX and compare the two on a sample.

    The graph's inputs are `categorical` int32[n, C] and `continuous` float32[n, F]; its only output is `output`.
    shared: columns of `categorical` that rows mostly have in common with those before; see `trainer.factoring`.
    Returns the largest absolute difference. Raises ExportError where it exceeds `TOLERANCE` or onnxruntime rejects
    the file (the converter's word is not enough: it has written graphs that onnxruntime rejects).
    """
    onnx.save(factored(fuse(converted(function, output)), shared), str(path))
    (answer,) = _run(path.name, path.read_bytes(), [output], sample)
    return _difference(path.name, "Keras", answer, function(sample.codes, sample.numbers).numpy())


def export_stack(stack: Stack, path: Path, sample: Encoded) -> float:
    """Write the ranker as `export` does; its trees and its calibration, where it has them, on it in the same graph.

    Each part is compared, the trees by what they see in the graph itself: a score that differs in the last digit may
    fall to the other side of a threshold.
    """
    difference = export(stack.ranker.score, "score", path, sample, stack.ranker.of_the_query)
    model = onnx.load(str(path))
    expected = stack.ranker.score(sample.codes, sample.numbers).numpy()
    if stack.trees is not None:
        model = with_trees(model, stack.trees)
        (seen,) = _run(path.name, _showing(model, SEEN), [SEEN], sample)
        expected = stack.over(seen)
    if stack.calibration.changes:
        model = with_calibration(model, stack.calibration)
        expected = stack.calibration.of(expected)
    onnx.save(model, str(path))
    (score,) = _run(path.name, path.read_bytes(), ["score"], sample)
    return max(difference, _difference(path.name, "LightGBM or the calibration", score, expected))


def _showing(model: Any, tensor: str) -> bytes:
    """The model with another of its float tensors as an output."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    found: bytes = copy.SerializeToString()
    return found


def _run(name: str, model: bytes, outputs: list[str], sample: Encoded) -> list[NDArray[np.float32]]:
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        found: list[NDArray[np.float32]] = session.run(
            outputs, {"categorical": sample.codes, "continuous": sample.numbers}
        )
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise ExportError(f"{name} does not run in onnxruntime: {error}") from error
    return found


def _difference(name: str, other: str, answer: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    difference = float(np.abs(answer - expected).max(initial=0.0)) if answer.shape == expected.shape else float("inf")
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{name}: onnxruntime and {other} differ by {difference} (shapes {answer.shape}, {expected.shape}); "
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
