"""Distinct vectors, and which of them are nearest: FAISS over most, an exact look at those that came since.

Vectors are only ever added. A search works on what one pointer shows, so nobody waits while vectors are added or an
index is trained; a new index takes the pointer once it is whole.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Slots = NDArray[np.int64]

FLAT_UP_TO = 2_000
"""So few vectors are all looked at."""
FEW = 1_024
"""Of a choice of so few vectors each is looked at, whatever the index."""
REBUILT_AFTER = 1_024
"""Vectors outside the index after which it is built anew, or a tenth of those in it where that is more."""
QUANTISED_FROM = 2_000_000
_PROBED_SHARE = 8
_TRAINED_ON = 40
"""Vectors a list that the index is trained on."""


class Nearest(NamedTuple):
    """Slots, int64[k], nearest first, and their cosines, float32[k]; fewer than asked for where there are fewer."""

    slots: Slots
    cosines: Floats


class _Shown(NamedTuple):
    """What a search works on: all vectors, float32[n, d], and an index of the first `indexed` of them."""

    vectors: Floats
    index: Any
    indexed: int


class Vectors:
    """Unit vectors by slot, the order in which they came. One thread adds, any number search beside it."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._room = np.zeros((1024, dimension), np.float32)
        self._shown = _Shown(self._room[:0], None, 0)
        self._showing = threading.Lock()

    def __len__(self) -> int:
        return len(self._shown.vectors)

    def __getitem__(self, slots: Slots) -> Floats:
        """float32[k, d]: vectors of the slots."""
        found: Floats = self._shown.vectors[slots]
        return found

    def add(self, vectors: Floats) -> Slots:
        """Take in float32[k, d]; returns their slots, int64[k]."""
        start, end = len(self), len(self) + len(vectors)
        if end > len(self._room):
            room = np.zeros((2 * end, self.dimension), np.float32)
            room[:start] = self._room[:start]
            self._room = room
        self._room[start:end] = vectors
        with self._showing:
            self._shown = self._shown._replace(vectors=self._room[:end])
        return np.arange(start, end)

    @property
    def stale(self) -> bool:
        """Whether enough lies outside the index that `rebuild` pays."""
        shown = self._shown
        outside = len(shown.vectors) - shown.indexed
        return len(shown.vectors) > FLAT_UP_TO and outside > max(REBUILT_AFTER, shown.indexed // 10)

    def rebuild(self) -> None:
        """Index all that is there; takes seconds, and searches go on beside it. For one thread at a time."""
        vectors = self._shown.vectors
        index = _build(vectors)
        with self._showing:
            self._shown = self._shown._replace(index=index, indexed=len(vectors))

    def nearest(self, query: Floats, k: int, allowed: NDArray[np.bool_] | None = None) -> Nearest:
        """The `k` vectors nearest to float32[d], among the slots where bool[n] `allowed` is true, if given.

        Slots beyond the end of `allowed` are not allowed.
        """
        shown = self._shown
        if allowed is None:
            fresh = np.arange(shown.indexed, len(shown.vectors))
        else:
            chosen = np.flatnonzero(allowed[: len(shown.vectors)])
            if len(chosen) <= FEW:
                return self._exact(shown.vectors, chosen, query, k)
            fresh = chosen[chosen >= shown.indexed]
        near = self._exact(shown.vectors, fresh, query, k)
        if shown.index is None:
            return near
        cosines, slots = shown.index.search(query[None], min(k, shown.indexed), params=_parameters(shown, allowed))
        found = slots[0] >= 0
        return _best(
            np.concatenate([slots[0][found], near.slots]), np.concatenate([cosines[0][found], near.cosines]), k
        )

    @staticmethod
    def _exact(vectors: Floats, slots: Slots, query: Floats, k: int) -> Nearest:
        return _best(slots, vectors[slots] @ query, k)


def _best(slots: Slots, cosines: Floats, k: int) -> Nearest:
    if len(slots) > k:
        chosen = np.argpartition(cosines, -k)[-k:] if k else np.zeros(0, np.int64)
        slots, cosines = slots[chosen], cosines[chosen]
    order = np.lexsort((slots, -cosines))
    return Nearest(slots[order].astype(np.int64), cosines[order].astype(np.float32))


def _build(vectors: Floats) -> Any:
    """Inverted lists over cosines, quantised where there are very many vectors."""
    n, d = vectors.shape
    lists = int(min(4 * np.sqrt(n), max(n // 39, 1)))
    coarse = faiss.IndexFlatIP(d)
    index: Any
    if n < QUANTISED_FROM:
        index = faiss.IndexIVFFlat(coarse, d, lists, faiss.METRIC_INNER_PRODUCT)
    else:
        index = faiss.IndexIVFPQ(coarse, d, lists, d // 4, 8, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = 1
    sample = vectors
    if n > _TRAINED_ON * lists:
        sample = vectors[np.random.default_rng(1).choice(n, _TRAINED_ON * lists, replace=False)]
    index.train(sample)
    index.nprobe = max(lists // _PROBED_SHARE, min(lists, 8))
    index.add(vectors)
    return index


def _parameters(shown: _Shown, allowed: NDArray[np.bool_] | None) -> Any:
    """How to search: as the index is set, and only among the allowed, then with twice the probes."""
    if allowed is None:
        return None
    bits = np.packbits(allowed[: shown.indexed], bitorder="little")
    library: Any = faiss  # its stubs know neither the Python constructors nor their keywords
    probes = min(2 * shown.index.nprobe, shown.index.nlist)
    return library.SearchParametersIVF(sel=library.IDSelectorBitmap(bits), nprobe=probes)


def recall(vectors: Vectors, queries: Floats, k: int = 100) -> float:
    """Of the exact nearest `k`, the share that `nearest` finds, over float32[q, d]."""
    k = min(k, len(vectors))
    everything = vectors[np.arange(len(vectors))]
    shares = []
    for query in queries:
        exact = np.sort(everything @ query)[-k]  # equally near ones are as good as each other
        shares.append(float((vectors.nearest(query, k).cosines >= exact - 1e-6).mean()))
    return float(np.mean(shares))
