"""Retrieval and ranking on Triton over gRPC, with versions loaded, probed, revived and dropped.

Triton reports a model ready whose Python stub was killed, so health here is a real inference.
"""

from __future__ import annotations

from concurrent.futures import Future
from itertools import pairwise
from typing import Any

import numpy as np
import tritonclient.grpc as grpc
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from serving.bundle import Bundle
from serving.scorer import ScorerError, Widths
from serving.triton.repository import MODELS, RANKER, RETRIEVER, ModelRepository

LOAD_TIMEOUT_S = 60.0
SPLIT_ROWS = 700
"""Rows from which a second instance of the ranker is worth its round trip."""

Arrays = list[tuple[str, NDArray[Any]]]

# gRPC waits up to two minutes before it tries a server again that was away; requests would fall back all that time.
_CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class TritonError(ScorerError):
    """Triton did not answer, or refused; the message carries its words."""


class TritonClient:
    """One gRPC channel to one Triton whose model repository this process can write.

    timeout_s bounds each inference, so that a Triton that hangs costs a request no more than that.
    """

    def __init__(self, url: str, repository: ModelRepository, timeout_s: float = 0.25) -> None:
        self.url = url
        self.repository = repository
        self.timeout_s = timeout_s
        self._client = grpc.InferenceServerClient(url, channel_args=_CHANNEL)

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def retrieve(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The `k` nearest items of each customer: rows int64[n, k] (-1: none), scores float32[n, k].

        categorical: int32[n, Cq], continuous: float32[n, Fq]. Raises TritonError.
        """
        result = self._infer(
            RETRIEVER,
            version,
            [("CATEGORICAL", categorical), ("CONTINUOUS", continuous), ("K", np.array([k], np.int32))],
        )
        return result.as_numpy("ITEMS"), result.as_numpy("SCORES")

    def rank(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The score of each row, float32[n]; takes int32[n, C] and float32[n, F]. Raises TritonError.

        Many rows are cut into parts that the ranker's instances score at the same time.
        """
        count = min(self.repository.instances[RANKER], max(1, len(categorical) // SPLIT_ROWS))
        bounds = pairwise(len(categorical) * part // count for part in range(count + 1))
        *others, last = [[("CATEGORICAL", categorical[a:b]), ("CONTINUOUS", continuous[a:b])] for a, b in bounds]
        begun = [self._start(RANKER, version, part) for part in others]
        own = self._infer(RANKER, version, last)
        return np.concatenate([*(part.result().as_numpy("SCORE") for part in begun), own.as_numpy("SCORE")])

    def probe(self, version: int, widths: Widths) -> None:
        """Infer once with each model on zeros; raises TritonError unless the answers are whole and finite."""
        rows, scores = self.retrieve(
            version,
            np.zeros((1, widths.query_categorical), np.int32),
            np.zeros((1, widths.query_continuous), np.float32),
            1,
        )
        score = self.rank(
            version,
            np.zeros((2, widths.categorical), np.int32),
            np.zeros((2, widths.continuous), np.float32),
        )
        if rows.shape != (1, 1) or rows[0, 0] < 0 or not np.isfinite(scores).all():
            raise TritonError(f"Triton {self.url}: {RETRIEVER} {version} answers a probe with {rows} and {scores}")
        if score.shape != (2,) or not np.isfinite(score).all():
            raise TritonError(f"Triton {self.url}: {RANKER} {version} answers a probe with {score}")

    def load(self, bundle: Bundle, widths: Widths) -> None:
        """Publish `bundle`, load it beside the versions served, and try it; revives it where stubs died.

        Raises TritonError where it cannot be loaded or does not answer a probe after a second start; what was
        served before is served on.
        """
        new = bundle.version not in self.repository.versions()
        self.repository.publish(bundle)
        try:
            self._load(bundle.version)
            try:
                self.probe(bundle.version, widths)
            except TritonError:
                self.revive()
                self.probe(bundle.version, widths)
        except TritonError:
            if new:
                self.drop(bundle.version)
            raise

    def revive(self) -> None:
        """Start every version's stubs anew."""
        self.repository.touch()
        self._load()

    def drop(self, version: int) -> None:
        """Take a version away that no request uses any more."""
        self.repository.remove(version)
        self._load()

    def _load(self, wanted: int | None = None) -> None:
        """Have Triton look at the repository.

        One version whose bundle was damaged or removed keeps Triton from loading any other, so such versions are
        taken out. Raises TritonError where `wanted` is one of them, or for any other reason of Triton's.
        """
        try:
            self._look()
        except TritonError:
            removed = self.repository.remove_unreadable()
            if removed:
                self._look()
            if not removed or wanted in removed:
                raise

    def _look(self) -> None:
        served = bool(self.repository.versions())
        for model in MODELS:
            try:
                if served:
                    self._client.load_model(model, client_timeout=LOAD_TIMEOUT_S)
                else:
                    self._client.unload_model(model, client_timeout=LOAD_TIMEOUT_S)
            except InferenceServerException as error:
                raise TritonError(f"Triton {self.url}: cannot load {model}: {error.message()}") from error

    def _infer(self, model: str, version: int, arrays: Arrays) -> Any:
        try:
            return self._client.infer(model, _inputs(arrays), str(version), client_timeout=self.timeout_s)
        except InferenceServerException as error:
            raise TritonError(f"Triton {self.url}: {model} {version}: {error.message()}") from error

    def _start(self, model: str, version: int, arrays: Arrays) -> Future[Any]:
        """Begin an inference; its result, or TritonError, comes with the future."""
        future: Future[Any] = Future()

        def done(result: Any, error: InferenceServerException | None) -> None:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(TritonError(f"Triton {self.url}: {model} {version}: {error.message()}"))

        self._client.async_infer(model, _inputs(arrays), done, str(version), client_timeout=self.timeout_s)
        return future


def _inputs(arrays: Arrays) -> list[Any]:
    inputs = []
    for name, array in arrays:
        tensor = grpc.InferInput(name, list(array.shape), "INT32" if array.dtype == np.int32 else "FP32")
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs
