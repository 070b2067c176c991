"""Features at an instant for Feast's on-demand views: columns of stored values in, the kernels' columns out.

A kernel's column that is called like a stored feature is left to the stored view: Feast would drop it anyway.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from feature_repo.catalogue import Catalogue
from feature_repo.customer_state import RECENT
from feature_repo.histories import Histories
from feature_repo.items_state import ITEM_STATE, NO_DAY, NO_SLOT, TOTALS, empty_items
from feature_repo.popularity import popularity
from feature_repo.purchases import DAY, PURCHASE
from feature_repo.ragged import Int64, lengths_to_offsets
from feature_repo.rfm import RFM_STATE, rfm
from feature_repo.sessions import session_columns, sessions
from feature_repo.trends import trend_scores


class Inputs(Protocol):
    """Stored features and ``as_of`` (microseconds since the epoch), ``[n]`` values each: a data frame or a dict."""

    def __getitem__(self, name: str, /) -> Iterable[Any]:
        """Return a column; ``None`` or NaN where a value is unknown."""


def _int64(values: Iterable[Any], missing: int = 0) -> npt.NDArray[np.int64]:
    known = (missing if value is None or value != value else int(value) for value in values)  # NaN is not itself
    return np.fromiter(known, dtype=np.int64)


def customer_rfm(inputs: Inputs, currency_exponent: int) -> dict[str, list[float]]:
    """Return `rfm` of stored customers; one that is unknown counts as one that never bought."""
    state = {name: _int64(inputs[name]) for name in RFM_STATE}
    columns = rfm(state, _int64(inputs["as_of"]), currency_exponent)
    return {name: values.tolist() for name, values in columns.items() if name not in state}


def customer_session(inputs: Inputs) -> dict[str, list[float]]:
    """Return `session_columns` of stored customers; one that is unknown counts as one without a session.

    A ``history`` or ``recent`` that is no packed array is taken as empty: Feast tries each view on sample values first.
    """
    as_of = _int64(inputs["as_of"])
    histories = Histories(*_packed(inputs["history"], PURCHASE), *_packed(inputs["recent"], RECENT))
    found = session_columns(sessions(histories, Catalogue(()), as_of), as_of)
    return {name: values.tolist() for name, values in found.items()}


def item_popularity(inputs: Inputs) -> dict[str, list[float]]:
    """Return `popularity` and ``trending``, the trend score, of stored items; an unknown one counts as untouched.

    A ``daily`` or ``hot`` that is no ring of counts is taken as empty: Feast tries each view on sample values first.
    """
    as_of = _int64(inputs["as_of"])
    n = len(as_of)
    states = empty_items(n)
    for name in TOTALS:
        states[name] = _int64(inputs[name])
    states["newest_day"] = _int64(inputs["newest_day"], missing=NO_DAY)
    states["hot_slot"] = _int64(inputs["hot_slot"], missing=NO_SLOT)
    for name in ("daily", "hot"):
        states[name] = _rings(inputs[name], ITEM_STATE[name])
    days, group = np.unique(as_of // DAY, return_inverse=True)
    out: dict[str, npt.NDArray[np.float64]] = {}
    for i, day in enumerate(days.tolist()):
        chosen = group == i
        for name, values in popularity(states[chosen], day * DAY).items():
            out.setdefault(name, np.zeros(n))[chosen] = values
    out["trending"] = trend_scores(states, as_of)
    return {name: values.tolist() for name, values in out.items() if name not in TOTALS}


def _rings(values: Iterable[Any], kind: np.dtype[Any]) -> npt.NDArray[np.int32]:
    width = kind.itemsize
    rings = [data if isinstance(data, bytes) and len(data) == width else bytes(width) for data in values]
    return np.frombuffer(b"".join(rings), dtype=kind.base).reshape(len(rings), -1)


def _packed(values: Iterable[Any], dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], Int64]:
    width = dtype.itemsize
    blobs = [data if isinstance(data, bytes) and len(data) % width == 0 else b"" for data in values]
    return np.frombuffer(b"".join(blobs), dtype=dtype), lengths_to_offsets(np.array([len(b) // width for b in blobs]))


_NOBODY: dict[str, list[Any]] = {name: [0] for name in (*RFM_STATE, *TOTALS, "newest_day", "hot_slot", "as_of")}

CUSTOMER_RFM = tuple(customer_rfm(_NOBODY, currency_exponent=0))
"""Names of the features that `customer_rfm` returns."""

CUSTOMER_SESSION = tuple(customer_session({"as_of": [0], "history": [b""], "recent": [b""]}))
"""Names of the features that `customer_session` returns."""

ITEM_POPULARITY = tuple(item_popularity(_NOBODY | {"daily": [b""], "hot": [b""]}))
"""Names of the features that `item_popularity` returns."""
