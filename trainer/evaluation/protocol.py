"""Protocol A: what is known at a cut, and what customers bought after it.

What may be learned from (`Purchases` up to the cut) and what is asked for (`Truth`) are made apart here and never
meet again before the metrics.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64 = npt.NDArray[np.int64]

DAY = 86_400_000_000
"""Microseconds in a day."""

HORIZON = 20 * DAY
"""How long after the cut purchases count as truth."""

Truth = Mapping[str, frozenset[str]]
"""The distinct items a customer bought after the cut, by customer; none is empty."""


@dataclass(frozen=True)
class Purchases:
    """Purchase lines in arrays.

    Attributes
    ----------
    customers, items
        Distinct ids, sorted.
    customer, item
        ``int64[m]``: which of these.
    time
        ``int64[m]``: microseconds since the epoch.
    """

    customers: list[str]
    items: list[str]
    customer: Int64
    item: Int64
    time: Int64

    def __len__(self) -> int:
        return len(self.time)

    def between(self, after: int | None, until: int) -> "Purchases":
        """Return the lines with ``after < time <= until``, with the ids that occur in them and no others."""
        chosen = self.time <= until
        if after is not None:
            chosen &= self.time > after
        customers, customer = _renumber(self.customers, self.customer[chosen])
        items, item = _renumber(self.items, self.item[chosen])
        return Purchases(customers, items, customer, item, self.time[chosen])

    def by_customer(self) -> dict[str, frozenset[str]]:
        """Return the distinct items of each customer."""
        pairs = np.unique(self.customer * len(self.items) + self.item)
        owner, item = np.divmod(pairs, max(len(self.items), 1))
        names = np.array(self.items, dtype=object)[item]
        bounds = np.searchsorted(owner, np.arange(len(self.customers) + 1))
        return {
            customer: frozenset(names[bounds[row] : bounds[row + 1]].tolist())
            for row, customer in enumerate(self.customers)
        }


@dataclass(frozen=True)
class Split:
    """Both sides of a cut.

    Attributes
    ----------
    cut
        The last instant that may be learned from, microseconds since the epoch.
    past
        Every purchase up to the cut; its items are those that may be recommended.
    truth
        Of customers with a past: the items they bought within the horizon.
    novel_truth
        The same without the items they had bought before.
    """

    cut: int
    past: Purchases
    truth: Truth
    novel_truth: Truth


def purchases_of(interactions: pa.Table) -> Purchases:
    """Return the purchases among interactions.

    Parameters
    ----------
    interactions
        With the columns ``customer_id``, ``item_id``, ``type`` (strings) and ``time`` (int64 microseconds).
    """
    bought = interactions.filter(pc.equal(interactions["type"], "purchase"))
    customers, customer = _codes(bought["customer_id"])
    items, item = _codes(bought["item_id"])
    return Purchases(customers, items, customer, item, np.asarray(bought["time"], dtype=np.int64))


def default_cut(purchases: Purchases, sooner_days: float = 0.0) -> int:
    """Return the protocol's cut: 20 days before the last purchase, as if the data ended some days sooner.

    Raises
    ------
    ValueError
        When there are no purchases.
    """
    if len(purchases) == 0:
        raise ValueError("there are no purchases to evaluate on")
    return int(purchases.time.max()) - int(sooner_days * DAY) - HORIZON


def split(purchases: Purchases, cut: int | None = None, horizon: int = HORIZON) -> Split:
    """Cut purchases into what is known and what is asked for.

    Parameters
    ----------
    cut
        Microseconds since the epoch; default: `default_cut`.
    horizon
        Microseconds after the cut within which purchases are the truth.

    Raises
    ------
    ValueError
        When nobody bought anything before the cut, or nobody of those after it.
    """
    instant = default_cut(purchases) if cut is None else cut
    past = purchases.between(None, instant)
    seen = past.by_customer()
    later = purchases.between(instant, instant + horizon).by_customer()
    truth = {customer: items for customer, items in later.items() if customer in seen}
    if not truth:
        raise ValueError(
            f"no customer bought both before and within {horizon / DAY:g} days after the cut "
            f"{np.datetime64(instant, 'us')}; choose a cut inside the data"
        )
    novel = {customer: items - seen[customer] for customer, items in truth.items()}
    return Split(instant, past, truth, {customer: items for customer, items in novel.items() if items})


def _codes(column: pa.ChunkedArray) -> tuple[list[str], Int64]:
    encoded = column.combine_chunks().dictionary_encode()
    ids = encoded.dictionary.to_pylist()
    order = sorted(range(len(ids)), key=ids.__getitem__)
    rank = np.empty(len(ids), dtype=np.int64)
    rank[order] = np.arange(len(ids))
    return [ids[at] for at in order], rank[np.asarray(encoded.indices, dtype=np.int64)]


def _renumber(ids: list[str], codes: Int64) -> tuple[list[str], Int64]:
    kept, new = np.unique(codes, return_inverse=True)
    return [ids[code] for code in kept.tolist()], new.astype(np.int64)
