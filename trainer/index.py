"""The FAISS index over item embeddings: flat while that is quick, inverted lists beyond, quantised for very many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from serving.bundle import Faiss

Floats = NDArray[np.float32]

FLAT_UP_TO = 20_000
QUANTISED_FROM = 2_000_000
_PROBED_SHARE = 16
_QUERIES = 256


def kind_for(items: int) -> str:
    """`flat`, `ivf` or `ivfpq`, by the number of items."""
    if items <= FLAT_UP_TO:
        return "flat"
    return "ivf" if items < QUANTISED_FROM else "ivfpq"


def build(embeddings: Floats, kind: str | None = None) -> Any:
    """An inner-product index over float32[n, d] whose ids are the rows."""
    n, d = embeddings.shape
    kind = kind or kind_for(n)
    index: Any
    if kind == "flat":
        index = faiss.IndexFlatIP(d)
    else:
        lists = int(min(4 * np.sqrt(n), max(n // 39, 1)))
        coarse = faiss.IndexFlatIP(d)
        if kind == "ivf":
            index = faiss.IndexIVFFlat(coarse, d, lists, faiss.METRIC_INNER_PRODUCT)
        else:
            index = faiss.IndexIVFPQ(coarse, d, lists, d // 4, 8, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = 1
        index.train(embeddings)
        index.nprobe = max(lists // _PROBED_SHARE, min(lists, 8))
    index.add(embeddings)
    return index


def recall_at_100(index: Any, embeddings: Floats, queries: Floats) -> float:
    """The share of the exact nearest 100 that the index finds, over the queries float32[q, d]."""
    k = min(100, len(embeddings))
    exact = faiss.IndexFlatIP(embeddings.shape[1])
    exact.add(embeddings)
    queries = queries[:_QUERIES]
    wanted, found = exact.search(queries, k)[1], index.search(queries, k)[1]
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(wanted, found, strict=True)]))


def write(embeddings: Floats, queries: Floats, path: Path) -> Faiss:
    """Build, measure and write the index of a bundle."""
    index = build(embeddings)
    faiss.write_index(index, str(path))
    return Faiss(kind_for(len(embeddings)), recall_at_100(index, embeddings, queries))
