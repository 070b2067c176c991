"""What is known of a customer and an item together: repurchase rhythm, popularity now, what others like them buy.

The ideas are those of the ranker's features, computed from purchases alone, all at once, for a past that ends at the
cut. Days are counted back from the cut; what does not exist (days since a purchase that never was) is NaN.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.baselines.known import Float64, Int64, Known
from trainer.evaluation.baselines.shortlist import Shortlist

DECAYS = (14.0, 30.0, 60.0, 120.0)
POPULAR_DAYS = (7.0, 30.0, 90.0)

Columns = dict[str, npt.NDArray[Any]]


class PairFeatures:
    """Features of pairs at the cut of what is known."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._keys, self._pairs = _pairs(known)
        self._items = _items(known, self._keys % known.shape[1], self._pairs)
        self._customers, self._basket_ages, self._ends = _customers(known)

    def names(self) -> list[str]:
        """The columns of `table`, in order."""
        none = np.empty(0, dtype=np.int64)
        empty = np.empty(0, dtype=bool)
        return list(self._columns(Shortlist(none, none, empty, empty, none.astype(float), none.astype(float))))

    def table(self, pairs: Shortlist) -> npt.NDArray[np.float32]:
        """Return ``float32[p, features]``."""
        return np.column_stack([values.astype(np.float32) for values in self._columns(pairs).values()])

    def _columns(self, pairs: Shortlist) -> Columns:
        wanted = pairs.customer * self._known.shape[1] + pairs.item
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        met = self._keys[at] == wanted
        columns: Columns = {name: np.where(met, values[at], np.nan) for name, values in self._pairs.items()}
        for name in ("lines", "baskets", *(f"decayed_{days:g}d" for days in DECAYS)):
            columns[name] = np.where(met, columns[name], 0.0)
        items = {name: values[pairs.item] for name, values in self._items.items()}
        customers = {name: values[pairs.customer] for name, values in self._customers.items()}
        columns |= items | customers
        since = _after(self._basket_ages, self._ends, pairs.customer, columns["last_days"])
        columns["baskets_since"] = since
        columns["share_of_baskets"] = columns["baskets"] / columns["customer_baskets"]
        columns["overdue"] = columns["last_days"] / columns["interval"]
        columns["overdue_for_item"] = columns["last_days"] / columns["item_interval"]
        columns["overdue_in_baskets"] = since * columns["share_of_baskets"]
        columns["by_neighbours"] = pairs.by_neighbours
        columns["by_ease"] = np.where(np.isfinite(pairs.by_ease), pairs.by_ease, np.nan)
        for name in ("decayed_60d", "by_neighbours", "by_ease"):
            columns[f"{name}_place"] = places(pairs.customer, columns[name])
        return columns


def places(customer: Int64, values: Float64) -> Float64:
    """Return each value's place, from 0 for the largest, among those of its customer; customers ascend."""
    order = np.lexsort((np.nan_to_num(-values, nan=np.inf), customer))
    out = np.empty(len(values))
    starts = np.searchsorted(customer, customer)
    out[order] = np.arange(len(values)) - starts[order]
    return out


def _pairs(known: Known) -> tuple[Int64, dict[str, Float64]]:
    """Return the distinct (customer, item) keys, sorted, and what is known of each."""
    past, age = known.past, known.age
    keys, pair = np.unique(past.customer * known.shape[1] + past.item, return_inverse=True)
    count = len(keys)
    columns = {"lines": np.bincount(pair, minlength=count).astype(np.float64)}
    in_baskets = np.unique(known.baskets * count + pair) % count
    baskets = np.bincount(in_baskets, minlength=count).astype(np.float64)
    first, last = np.zeros(count), np.full(count, np.inf)
    np.maximum.at(first, pair, age)
    np.minimum.at(last, pair, age)
    columns |= {"baskets": baskets, "first_days": first, "last_days": last}
    with np.errstate(divide="ignore", invalid="ignore"):
        columns["interval"] = np.where(baskets > 1, (first - last) / (baskets - 1), np.nan)
    for days in DECAYS:
        decayed = np.bincount(pair, np.exp(-age / days), minlength=count)
        columns[f"decayed_{days:g}d"] = decayed.astype(np.float64)
    return keys, columns


def _items(known: Known, item: Int64, pairs: dict[str, Float64]) -> dict[str, Float64]:
    width = known.shape[1]
    buyers = np.bincount(item, minlength=width).astype(np.float64)
    again = np.bincount(item, pairs["baskets"] > 1, minlength=width)
    spans = np.bincount(item, pairs["first_days"] - pairs["last_days"], minlength=width)
    repeats = np.bincount(item, pairs["baskets"] - 1, minlength=width)
    columns = {f"popular_{days:g}d": known.popularity((known.age < days).astype(np.float64)) for days in POPULAR_DAYS}
    with np.errstate(divide="ignore", invalid="ignore"):
        return columns | {
            "trend": known.trend,
            "buyers": buyers,
            "repeat_rate": again / buyers,
            "baskets_per_buyer": (repeats + buyers) / buyers,
            "item_interval": np.where(repeats > 0, spans / repeats, np.nan),
            "rising": columns["popular_30d"] / columns["popular_90d"],
        }


def _customers(known: Known) -> tuple[dict[str, Float64], Float64, Int64]:
    """Return what is known of each customer, the baskets' ages in days, and where each customer's baskets end."""
    count = known.shape[0]
    _, first_line = np.unique(known.baskets, return_index=True)
    owner, ages = known.past.customer[first_line], known.age[first_line]
    ends = np.searchsorted(owner, np.arange(count), side="right").astype(np.int64)
    baskets = np.bincount(owner, minlength=count).astype(np.float64)
    newest, oldest = ages[ends - 1], known.age[known.starts[:-1]]
    lines = np.diff(known.starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        interval = np.where(baskets > 1, (oldest - newest) / (baskets - 1), np.nan)
    columns = {
        "customer_baskets": baskets,
        "customer_baskets_30d": np.bincount(owner, ages < 30, minlength=count),
        "customer_days": newest,
        "customer_interval": interval,
        "lines_per_basket": lines / baskets,
        "customer_items": np.diff(known.bought.indptr) / baskets,
        "known_days": oldest,
    }
    return columns, ages, ends


def _after(ages: Float64, ends: Int64, customer: Int64, last_days: Float64) -> Float64:
    """How many baskets a customer has bought since the item, NaN where the item was never bought."""
    # Baskets lie by customer and then from old to new: one sorted key for all of them.
    far = 1e5
    owner = np.searchsorted(ends, np.arange(len(ages)), side="right")
    keys = owner * far - ages
    found = np.searchsorted(keys, customer * far - np.nan_to_num(last_days), side="right")
    return np.where(np.isnan(last_days), np.nan, ends[customer] - found)
