"""The catalogue rows of many item keys, looked up by a compiled loop: what `Catalogue.rows` finds, in a single call."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.catalogue import Catalogue
from feature_repo.compiled import array, compiled
from feature_repo.ragged import Int64

Keys = npt.NDArray[np.uint64]

_KEYS, _ROWS = array(np.uint64), array(np.int64)


def rows_of(catalogue: Catalogue, keys: Keys) -> Int64:
    """``int64[k]``: the row of each key, -1 where unknown."""
    index = catalogue.index()
    found: Int64 = _rows_of(keys, index.slots, index.keys_by_row, index.keys, index.rows)
    return found


@compiled(_KEYS, _ROWS, _KEYS, _KEYS, _ROWS)
def _rows_of(keys: Keys, slots: Int64, keys_by_row: Keys, ordered: Keys, rows: Int64) -> Int64:
    """Look keys up as `feature_repo.catalogue.Index` is made: by slot, and those that share one by bisection."""
    out = np.full(len(keys), -1, np.int64)
    if len(keys_by_row) == 0:
        return out
    mask = np.uint64(len(slots) - 1)
    for i in range(len(keys)):
        row = slots[np.int64(keys[i] & mask)]
        if keys_by_row[row] == keys[i]:
            out[i] = row
            continue
        at = np.searchsorted(ordered, keys[i])
        if at < len(ordered) and ordered[at] == keys[i]:
            out[i] = rows[at]
    return out
