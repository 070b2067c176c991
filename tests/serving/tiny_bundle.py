"""Bundles small enough to check by hand."""

from __future__ import annotations

from pathlib import Path

import faiss
import msgspec
import numpy as np
from numpy.typing import NDArray

from serving import bundle as bundles
from serving.bundle import Bundle, DataWindow, Faiss, publish, write_manifest
from serving.scorer import Widths
from tests.serving.onnx_graphs import linear

WIDTHS = Widths(query_categorical=2, query_continuous=3, categorical=4, continuous=6)
DIMENSIONS = 4


class Linear:
    """Weights of both models of a tiny bundle, drawn from its version."""

    def __init__(self, version: int, widths: Widths = WIDTHS) -> None:
        random = np.random.default_rng(version)

        def weights(*shape: int) -> NDArray[np.float32]:
            return random.normal(size=shape).astype(np.float32)

        self.query_categorical = weights(widths.query_categorical, DIMENSIONS)
        self.query_continuous = weights(widths.query_continuous, DIMENSIONS)
        self.categorical = weights(widths.categorical)
        self.continuous = weights(widths.continuous)

    def embed(self, categorical: NDArray[np.int32], continuous: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(categorical @ self.query_categorical + continuous @ self.query_continuous, np.float32)

    def score(self, categorical: NDArray[np.int32], continuous: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(categorical @ self.categorical + continuous @ self.continuous, np.float32)


def write_bundle(
    directory: Path,
    version: int,
    items: list[str],
    widths: Widths = WIDTHS,
    encoder: bytes = b"{}",
    shop: str = "complete_journey",
) -> Bundle:
    """Publish version `version` under `directory`, with a flat index of random embeddings."""
    linear_models = Linear(version, widths)
    staging = directory / f"staging-{version}"
    staging.mkdir(parents=True)
    (staging / bundles.QUERY_TOWER).write_bytes(
        linear(linear_models.query_categorical, linear_models.query_continuous, "embedding")
    )
    (staging / bundles.RANKER).write_bytes(linear(linear_models.categorical, linear_models.continuous, "score"))
    embeddings = np.random.default_rng(version).normal(size=(len(items), DIMENSIONS)).astype(np.float32)
    np.save(staging / bundles.ITEM_EMBEDDINGS, embeddings)
    np.save(staging / bundles.TASTE, 0.1 * np.random.default_rng([version, 1]).random((2, len(items), 3), np.float32))
    (staging / bundles.ITEMS).write_bytes(msgspec.json.encode(items))
    (staging / bundles.ENCODER).write_bytes(encoder)
    index = faiss.IndexFlatIP(DIMENSIONS)
    index.add(embeddings)
    faiss.write_index(index, str(staging / bundles.INDEX))
    write_manifest(
        staging,
        version=version,
        shop=shop,
        created_at=0,
        columns=[],
        data_window=DataWindow(0, 1),
        faiss=Faiss("flat", 1.0),
    )
    return publish(staging, directory)
