"""How popular an item is on a day: purchases of the last days, and purchases weighted by their age."""

import numpy as np
import numpy.typing as npt

from feature_repo.items_state import DAYS, ItemStates, slot_days
from feature_repo.purchases import DAY
from feature_repo.rfm import NEVER_DAYS

WINDOWS = (1, 7, 30)
"""Days of the windowed counts."""

DECAY_DAYS = 14.0
"""Time constant of the time-weighted purchases, in days."""

_ITEMS_AT_ONCE = 4096
"""Items whose day counts are looked at together: what fits the processor's cache."""


def popularity(states: ItemStates, as_of: int) -> dict[str, npt.NDArray[np.float64]]:
    """Return items' popularity at an instant, at a resolution of UTC days.

    Parameters
    ----------
    states
        ``ITEM_STATE[n]``, summed over sources.
    as_of
        Microseconds since the epoch; only its UTC day matters.

    Returns
    -------
    dict of float64[n]
        ``purchases_{1,7,30}d`` (lines of the running UTC day and of that many full days before it),
        ``time_weighted_purchases`` (sum of exp(-age in days / 14) over the last 64 days; thesis 6.1.2),
        ``days_since_bought`` (`NEVER_DAYS` if not within 64 days), ``momentum`` (share of the 30-day purchases
        that fell into the last 7), ``item_purchases``, ``buyers``, ``repeat_rate`` (shopping days on which a
        customer bought it again, per purchase line).
    """
    today, n = as_of // DAY, len(states)
    out = {name: np.zeros(n) for name in (*(f"purchases_{days}d" for days in WINDOWS), "time_weighted_purchases")}
    out["days_since_bought"] = np.full(n, NEVER_DAYS)
    newest = states["newest_day"]
    lately = np.flatnonzero((newest > today - DAYS) & (newest < today + DAYS))  # the others have nothing to count
    for start in range(0, len(lately), _ITEMS_AT_ONCE):
        rows = lately[start : start + _ITEMS_AT_ONCE]
        age = today - slot_days(newest[rows])
        counts = np.where((age >= 0) & (age < DAYS), states["daily"][rows], 0).astype(np.float64)
        for days in WINDOWS:
            out[f"purchases_{days}d"][rows] = (counts * (age <= days)).sum(axis=1)
        weights = np.exp(np.arange(DAYS) / -DECAY_DAYS)
        out["time_weighted_purchases"][rows] = (counts * weights[np.clip(age, 0, DAYS - 1)]).sum(axis=1)
        out["days_since_bought"][rows] = np.where(counts > 0, age, NEVER_DAYS).min(axis=1)
    out["item_purchases"] = states["purchases"].astype(np.float64)
    out["buyers"] = states["buyers"].astype(np.float64)
    out["repeat_rate"] = states["repeats"] / np.maximum(states["purchases"], 1)
    out["momentum"] = out["purchases_7d"] / np.maximum(out["purchases_30d"], 1.0)
    return out


def price(states: ItemStates, list_price: npt.NDArray[np.int64], currency_exponent: int) -> npt.NDArray[np.float64]:
    """Return ``float64[n]``: list price in major units, where unknown the mean price paid per unit, else 0."""
    paid = states["spend"] / np.maximum(states["quantity"], 1)
    minor: npt.NDArray[np.float64] = np.where(list_price >= 0, list_price, np.maximum(paid, 0.0)).astype(np.float64)
    return minor / float(10**currency_exponent)
