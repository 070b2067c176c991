"""Triton model `ranker`: columns of customer, item, pair and request → one score a row.

Copied as `model.py` into every version directory; Triton's Python backend runs it in the triton environment.
`Ranker` is the operator itself and runs without Triton.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.bundle import RANKER, Bundle, open_bundle


class Ranker:
    """The ranking model of one bundle, on one thread."""

    def __init__(self, bundle: Bundle) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.model = onnxruntime.InferenceSession(str(bundle.file(RANKER)), options, providers=["CPUExecutionProvider"])

    def __call__(self, categorical: NDArray[np.int32], continuous: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score of each row, float32[n], higher is better.

        categorical: int32[n, C], continuous: float32[n, F]. Raises ValueError on negative ids or on values
        that are not finite; onnxruntime raises on ids the model has no row for.
        """
        if len(categorical) and categorical.min(initial=0) < 0:
            raise ValueError(f"ranker: CATEGORICAL holds {categorical.min()}; ids start at 0")
        if not np.isfinite(continuous).all():
            raise ValueError("ranker: CONTINUOUS holds a value that is not finite")
        score = self.model.run(["score"], {"categorical": categorical, "continuous": continuous})[0]
        if not np.isfinite(score).all():
            raise ValueError("ranker: the model answered with a value that is not finite")
        return np.asarray(score, dtype=np.float32).reshape(-1)


class TritonPythonModel:
    """What the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the bundle that the file `bundle` of this version directory names."""
        if int(np.__version__.split(".")[0]) >= 2:
            raise RuntimeError(f"numpy {np.__version__}: Triton's stub reads zeros under numpy 2; install numpy<2")
        version = Path(args["model_repository"]) / args["model_version"]
        self.ranker = Ranker(open_bundle((version / "bundle").read_text().strip()))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request on its own; one that is wrong does not take the others with it."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        import triton_python_backend_utils as backend

        def array(name: str) -> Any:
            return backend.get_input_tensor_by_name(request, name).as_numpy()

        try:
            score = self.ranker(array("CATEGORICAL"), array("CONTINUOUS"))
        except Exception as error:  # onnxruntime raises many types; the caller needs the text of each
            return backend.InferenceResponse(error=backend.TritonError(str(error)))
        return backend.InferenceResponse([backend.Tensor("SCORE", score)])
