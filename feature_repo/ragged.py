"""Ragged arrays: the rows of many owners, laid end to end, with the offsets at which each owner's rows begin."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


def owners(offsets: Int64) -> Int64:
    """Return ``int64[m]``: for each row its owner, from ``offsets: int64[n + 1]``."""
    return np.arange(len(offsets) - 1, dtype=np.int64).repeat(offsets[1:] - offsets[:-1])


def offsets_of(owner: Int64, n: int) -> Int64:
    """Return ``int64[n + 1]``: where each of ``n`` owners' rows begin, for rows sorted by ``owner: int64[m]``."""
    return lengths_to_offsets(np.bincount(owner, minlength=n))


def lengths_to_offsets(lengths: npt.NDArray[Any]) -> Int64:
    """Return ``int64[n + 1]``: the running total of ``lengths``, beginning with 0."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.add.accumulate(lengths, dtype=np.int64, out=offsets[1:])
    return offsets


def pick(rows: npt.NDArray[Any], chosen: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the chosen rows, by an index or a mask; whole records are copied, where numpy would go field by field."""
    found: npt.NDArray[Any] = _opaque(rows)[chosen].view(rows.dtype)
    return found


def keep(rows: npt.NDArray[Any], offsets: Int64, chosen: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[Any], Int64]:
    """Return the rows of a mask, and where each owner's begin among them."""
    return pick(rows, chosen), lengths_to_offsets(chosen)[offsets]


def unpack(blobs: Sequence[bytes], dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], Int64]:
    """Return the rows in each owner's bytes, and where each owner's begin."""
    lengths = np.fromiter(map(len, blobs), dtype=np.int64, count=len(blobs)) // dtype.itemsize
    return np.frombuffer(b"".join(blobs), dtype=dtype), lengths_to_offsets(lengths)


def _opaque(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return rows.view(np.dtype((np.void, rows.dtype.itemsize)))


def select(offsets: Int64, chosen: Int64) -> tuple[Int64, Int64]:
    """Return the row indices of the chosen owners, in that order, and their new offsets."""
    starts, lengths = offsets[chosen], offsets[chosen + 1] - offsets[chosen]
    new = lengths_to_offsets(lengths)
    rows = np.arange(new[-1], dtype=np.int64) + np.repeat(starts - new[:-1], lengths)
    return rows, new


def append(
    rows: npt.NDArray[Any], offsets: Int64, new: npt.NDArray[Any], owner: Int64
) -> tuple[npt.NDArray[Any], Int64]:
    """Return the rows with new ones behind each owner's, and the new offsets.

    Parameters
    ----------
    rows, offsets
        ``[m]`` and ``int64[n + 1]``.
    new, owner
        ``[k]`` and ``int64[k]``, sorted by owner.
    """
    if len(new) == 0:
        return rows, offsets
    n = len(offsets) - 1
    added = lengths_to_offsets(np.bincount(owner, minlength=n))
    merged = np.empty(len(rows) + len(new), dtype=rows.dtype)
    is_new = np.zeros(len(merged), dtype=bool)
    is_new[np.arange(len(new)) + offsets[owner + 1]] = True
    _opaque(merged)[is_new] = _opaque(new)
    _opaque(merged)[~is_new] = _opaque(rows)
    return merged, offsets + added


def keep_last(offsets: Int64, limit: int) -> npt.NDArray[np.bool_]:
    """Return ``bool[m]``: true for the last ``limit`` rows of each owner."""
    ends = np.repeat(offsets[1:], np.diff(offsets))
    return np.arange(offsets[-1], dtype=np.int64) >= ends - limit


def group_starts(*keys: npt.NDArray[Any]) -> Int64:
    """Return ``int64[g]``: where a new group begins, in rows sorted by ``keys``."""
    if len(keys[0]) == 0:
        return np.zeros(0, dtype=np.int64)
    change = np.zeros(len(keys[0]), dtype=bool)
    change[0] = True
    for key in keys:
        change[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(change).astype(np.int64)


def group_ends(starts: Int64, m: int) -> Int64:
    """Return ``int64[g]``: where each group ends, for groups that begin at ``starts`` in ``m`` rows."""
    return np.append(starts, m)[1:].astype(np.int64)
