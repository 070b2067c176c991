"""Triton model `retriever`: customer columns → query tower → FAISS → rows and scores of the nearest items.

Copied as `model.py` into every version directory; Triton's Python backend runs it in the triton environment.
`Retriever` is the operator itself and runs without Triton.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.bundle import INDEX, QUERY_TOWER, Bundle, open_bundle

MAX_K = 1000


class Retriever:
    """Query tower and index of one bundle; not thread safe, Triton runs one an instance."""

    def __init__(self, bundle: Bundle) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.tower = onnxruntime.InferenceSession(
            str(bundle.file(QUERY_TOWER)), options, providers=["CPUExecutionProvider"]
        )
        faiss.omp_set_num_threads(1)
        self.index = faiss.read_index(str(bundle.file(INDEX)))
        items, dimensions = bundle.item_embeddings().shape
        if (self.index.ntotal, self.index.d) != (items, dimensions):
            raise ValueError(
                f"bundle {bundle.path}: {INDEX} holds {self.index.ntotal} vectors of {self.index.d} "
                f"dimensions, the embeddings are {items} of {dimensions}"
            )

    def __call__(
        self, categorical: NDArray[np.int32], continuous: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Nearest items of each row: rows int64[n, k] (-1 where an index has no more), scores float32[n, k].

        categorical: int32[n, Cq], continuous: float32[n, Fq]; k is capped at the number of items. Raises
        ValueError on k outside 1..1000, negative ids, and values that are not finite.
        """
        if not 1 <= k <= MAX_K:
            raise ValueError(f"retriever: K is {k}, must be 1..{MAX_K}")
        if len(categorical) and categorical.min(initial=0) < 0:
            raise ValueError(f"retriever: CATEGORICAL holds {categorical.min()}; ids start at 0")
        if not np.isfinite(continuous).all():
            raise ValueError("retriever: CONTINUOUS holds a value that is not finite")
        embedding = self.tower.run(["embedding"], {"categorical": categorical, "continuous": continuous})[0]
        embedding = np.ascontiguousarray(embedding, dtype=np.float32)
        if not np.isfinite(embedding).all():
            raise ValueError("retriever: the query tower answered with a value that is not finite")
        scores, rows = self.index.search(embedding, min(k, self.index.ntotal))
        return rows.astype(np.int64), np.where(rows >= 0, scores, np.float32(0.0)).astype(np.float32)


class TritonPythonModel:
    """What the Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the bundle that the file `bundle` of this version directory names."""
        if int(np.__version__.split(".")[0]) >= 2:
            raise RuntimeError(f"numpy {np.__version__}: Triton's stub reads zeros under numpy 2; install numpy<2")
        version = Path(args["model_repository"]) / args["model_version"]
        self.retriever = Retriever(open_bundle((version / "bundle").read_text().strip()))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request on its own; one that is wrong does not take the others with it."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        import triton_python_backend_utils as backend

        def array(name: str) -> Any:
            return backend.get_input_tensor_by_name(request, name).as_numpy()

        try:
            rows, scores = self.retriever(array("CATEGORICAL"), array("CONTINUOUS"), int(array("K")[0]))
        except Exception as error:  # onnxruntime raises many types; the caller needs the text of each
            return backend.InferenceResponse(error=backend.TritonError(str(error)))
        return backend.InferenceResponse([backend.Tensor("ITEMS", rows), backend.Tensor("SCORES", scores)])
