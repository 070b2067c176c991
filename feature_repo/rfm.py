"""Recency, frequency, monetary value of customers, after the thesis's section 6.1.1."""

import numpy as np
import numpy.typing as npt

from feature_repo.purchases import DAY, Kept
from feature_repo.ragged import Int64, group_starts, owners

NEVER_DAYS = 3650.0
"""Stands for "never" where a model wants a number of days."""

RFM_STATE = ("purchases", "quantity", "spend", "shopping_days", "first_purchase_at", "last_purchase_at")


def rfm_state(held: Kept, evicted: Int64) -> dict[str, Int64]:
    """Return the parts of RFM that do not depend on "now".

    Parameters
    ----------
    held
        Of ``n`` customers' histories.
    evicted
        ``int64[n, 5]``, see `feature_repo.customer_state.CustomerStates`.

    Returns
    -------
    dict of int64[n]
        ``purchases`` (lines not returned), ``quantity`` (units), ``spend`` (minor units), ``shopping_days``
        (UTC days with a purchase, within the kept history), ``first_purchase_at`` and ``last_purchase_at``
        (microseconds since the epoch, 0: never).
    """
    lines, offsets, remaining, amount = held
    n, owner = len(evicted), owners(offsets)
    has = np.diff(offsets) > 0
    days = owner[group_starts(owner, lines["time"] // DAY)]
    first, last = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    first[has] = lines["time"][offsets[:-1][has]]
    last[has] = lines["time"][offsets[1:][has] - 1]
    first = np.where(evicted[:, 3] == 0, first, np.where(has, np.minimum(first, evicted[:, 3]), evicted[:, 3]))
    return {
        "purchases": np.bincount(owner, minlength=n) + evicted[:, 0],
        "quantity": _sums(owner, remaining, n) + evicted[:, 1],
        "spend": _sums(owner, amount, n) + evicted[:, 2],
        "shopping_days": np.bincount(days, minlength=n),
        "first_purchase_at": first,
        "last_purchase_at": np.maximum(last, evicted[:, 4]),
    }


def _sums(owner: Int64, values: Int64, n: int) -> Int64:
    out = np.zeros(n, dtype=np.int64)
    np.add.at(out, owner, values)
    return out


def rfm(
    state: dict[str, Int64], as_of: npt.NDArray[np.int64] | int, currency_exponent: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Return RFM at an instant.

    Parameters
    ----------
    state
        What `rfm_state` returns, each ``int64[n]``.
    as_of
        Microseconds since the epoch: one instant, or ``int64[n]``.
    currency_exponent
        Decimal digits of the minor unit.

    Returns
    -------
    dict of float64[n]
        ``recency_days`` since the last purchase, ``frequency_days`` (mean days between shopping days),
        ``monetary`` (spend per shopping day, major units), ``basket_size`` (lines per shopping day),
        ``customer_purchases``, ``shopping_days``, ``tenure_days`` since the first purchase. Of a customer who
        never bought, the days are `NEVER_DAYS` and the rest is 0.
    """
    never = state["last_purchase_at"] == 0
    days = np.maximum(state["shopping_days"], 1)
    span = (state["last_purchase_at"] - state["first_purchase_at"]) / DAY

    def since(instant: Int64) -> npt.NDArray[np.float64]:
        return np.where(never, NEVER_DAYS, np.maximum(as_of - instant, 0) / DAY)

    return {
        "recency_days": since(state["last_purchase_at"]),
        "frequency_days": np.where(days > 1, span / np.maximum(days - 1, 1), np.where(never, NEVER_DAYS, 0.0)),
        "monetary": state["spend"] / (10**currency_exponent) / days,
        "basket_size": state["purchases"] / days,
        "customer_purchases": state["purchases"].astype(np.float64),
        "shopping_days": state["shopping_days"].astype(np.float64),
        "tenure_days": since(state["first_purchase_at"]),
    }
