"""Features at an instant for Feast's on-demand views: columns of stored values in, the kernels' columns out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.items_state import ITEM_STATE, NO_DAY, TOTALS, empty_items
from feature_repo.popularity import popularity
from feature_repo.purchases import DAY
from feature_repo.rfm import RFM_STATE, rfm

Inputs = Mapping[str, Sequence[Any]]
"""Stored features and ``as_of`` (microseconds since the epoch), ``[n]`` values each; ``None`` where unknown."""

_DAILY_BYTES = ITEM_STATE["daily"].itemsize


def _int64(values: Sequence[Any], missing: int = 0) -> npt.NDArray[np.int64]:
    return np.array([missing if value is None else value for value in values], dtype=np.int64)


def customer_rfm(inputs: Inputs, currency_exponent: int) -> dict[str, list[float]]:
    """Return `rfm` of stored customers; one that is unknown counts as one that never bought."""
    state = {name: _int64(inputs[name]) for name in RFM_STATE}
    columns = rfm(state, _int64(inputs["as_of"]), currency_exponent)
    return {name: values.tolist() for name, values in columns.items()}


def item_popularity(inputs: Inputs) -> dict[str, list[float]]:
    """Return `popularity` of stored items; one that is unknown counts as one that nobody bought.

    A ``daily`` that is no ring of counts is taken as empty: Feast tries each view on sample values first.
    """
    n = len(inputs["as_of"])
    states = empty_items(n)
    for name in TOTALS:
        states[name] = _int64(inputs[name])
    states["newest_day"] = _int64(inputs["newest_day"], missing=NO_DAY)
    rings = [data if data and len(data) == _DAILY_BYTES else bytes(_DAILY_BYTES) for data in inputs["daily"]]
    states["daily"] = np.frombuffer(b"".join(rings), dtype=ITEM_STATE["daily"].base).reshape(n, -1)
    as_of = _int64(inputs["as_of"])
    days, group = np.unique(as_of // DAY, return_inverse=True)
    out: dict[str, npt.NDArray[np.float64]] = {}
    for i, day in enumerate(days.tolist()):
        chosen = group == i
        for name, values in popularity(states[chosen], day * DAY).items():
            out.setdefault(name, np.zeros(n))[chosen] = values
    return {name: values.tolist() for name, values in out.items()}


_NOTHING = dict.fromkeys((*RFM_STATE, *TOTALS, "newest_day", "daily", "as_of"), ())

CUSTOMER_RFM = tuple(customer_rfm(_NOTHING, currency_exponent=0))
"""Names of the features that `customer_rfm` returns."""

ITEM_POPULARITY = tuple(popularity(empty_items(0), as_of=0))
"""Names of the features that `item_popularity` returns."""
