"""Retrieval and ranking on Triton over HTTP, with versions loaded, probed, revived and dropped.

Triton reports a model ready whose Python stub was killed, so health here is a real inference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPException
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferenceServerException

from serving.bundle import Bundle
from serving.scorer import Nearest, ScorerError, Widths
from serving.triton.connection import Connections, ProtocolError, Request, Response
from serving.triton.repository import MODELS, RANKER, RETRIEVER, ModelRepository
from serving.triton.tensors import body_of, outputs_of

HEAD_LENGTH = "inference-header-content-length"
"""The HTTP header that says where the JSON ends and the arrays begin."""
_HEAD_LENGTH = HEAD_LENGTH.encode()
LOAD_TIMEOUT_S = 60.0
SPLIT_ROWS = 125
"""Rows that are worth a round trip of their own to another instance of the ranker."""


class TritonError(ScorerError):
    """Triton did not answer, or refused; the message carries its words."""


class TritonClient:
    """Connections to one Triton whose model repository this process can write.

    url is its HTTP address, host:port. timeout_s bounds each inference, so that a Triton that hangs costs a request no
    more than that.
    """

    def __init__(self, url: str, repository: ModelRepository, timeout_s: float = 0.25) -> None:
        self.url = url
        self.repository = repository
        self.timeout_s = timeout_s
        self._connections = Connections(url)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def retrieve(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32], k: int
    ) -> Nearest:
        """Ask for the `k` nearest items of each customer; see Scorer. Raises TritonError, now or when called.

        categorical: int32[n, Cq], continuous: float32[n, Fq].
        """
        answer = self._infer(
            RETRIEVER, version, {"CATEGORICAL": categorical, "CONTINUOUS": continuous, "K": np.array([k], np.int32)}
        )

        def nearest() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            found = answer()
            return found["ITEMS"], found["SCORES"]

        return nearest

    def rank(
        self, version: int, categorical: NDArray[np.int32], continuous: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The score of each row, float32[n]; takes int32[n, C] and float32[n, F]. Raises TritonError.

        Many rows are cut into parts that the ranker's instances score at the same time.
        """
        count = min(self.repository.instances[RANKER], max(1, len(categorical) // SPLIT_ROWS))
        bounds = pairwise(len(categorical) * part // count for part in range(count + 1))
        answers = [
            self._infer(RANKER, version, {"CATEGORICAL": categorical[a:b], "CONTINUOUS": continuous[a:b]})
            for a, b in bounds
        ]
        scores = [answer()["SCORE"] for answer in answers]
        return scores[0] if count == 1 else np.concatenate(scores)

    def probe(self, version: int, widths: Widths) -> None:
        """Infer once with each model on zeros; raises TritonError unless the answers are whole and finite."""
        rows, scores = self.retrieve(
            version,
            np.zeros((1, widths.query_categorical), np.int32),
            np.zeros((1, widths.query_continuous), np.float32),
            1,
        )()
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
        # A client of tritonclient's is for one thread, and several threads come here: so one for each call.
        served = bool(self.repository.versions())
        with InferenceServerClient(
            self.url, connection_timeout=LOAD_TIMEOUT_S, network_timeout=LOAD_TIMEOUT_S
        ) as control:
            for model in MODELS:
                try:
                    if served:
                        control.load_model(model)
                    else:
                        control.unload_model(model)
                except (InferenceServerException, OSError, HTTPException) as error:
                    action = "load" if served else "unload"
                    raise TritonError(f"Triton {self.url}: cannot {action} {model}: {error}") from error

    def _infer(
        self, model: str, version: int, arrays: Mapping[str, NDArray[Any]]
    ) -> Callable[[], dict[str, NDArray[Any]]]:
        """Begin an inference; what comes back waits for its arrays, by name. Both raise TritonError."""
        where = f"Triton {self.url}: {model} {version}"
        body, head_length = body_of(arrays)
        path = f"/v2/models/{model}/versions/{version}/infer"
        try:
            pending = self._connections.begin(Request(path, body, {HEAD_LENGTH: str(head_length)}), self.timeout_s)
        except OSError as error:
            raise TritonError(f"{where}: {error}") from error

        def answer() -> dict[str, NDArray[Any]]:
            try:
                found = pending.response()
                if found.status != HTTPStatus.OK:
                    raise TritonError(f"{where}: {_refusal(found)}")
                return _outputs(found)
            except OSError as error:
                raise TritonError(f"{where}: {error}") from error

        return answer


def _outputs(found: Response) -> dict[str, NDArray[Any]]:
    """The arrays of an inference's response by name; they cannot be written to. Raises ProtocolError."""
    try:
        return outputs_of(found.body, int(found.headers[_HEAD_LENGTH]))
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"not an inference's response: {error!r}") from error


class _Refusal(msgspec.Struct):
    error: str = ""


def _refusal(found: Response) -> str:
    """Triton's words."""
    try:
        said = msgspec.json.decode(found.body, type=_Refusal).error
    except msgspec.MsgspecError:
        said = found.body[:200].decode(errors="replace")
    return said or f"status {found.status}"
