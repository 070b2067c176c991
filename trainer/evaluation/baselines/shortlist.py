"""Which items a learned ranker is asked about: the customer's own, what similar customers buy, EASE's, the trending."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.evaluation.baselines.known import Float64, Int64, Known
from trainer.evaluation.baselines.linear import ease
from trainer.evaluation.baselines.next_basket import decayed_and_neighbours
from trainer.evaluation.baselines.scores import CUSTOMERS_AT_A_TIME, Floats, best

Bools = npt.NDArray[np.bool_]

OWN_DAYS = 60.0
OWN = 100
FRONT = 30
BY_EASE = 150
BY_NEIGHBOURS = 50
TRENDING = 80


@dataclass(frozen=True)
class Shortlist:
    """Pairs, sorted by customer and item; all arrays are ``[p]``.

    Attributes
    ----------
    customer, item
        ``int64``: rows and columns of what is known.
    own
        Whether the customer has bought the item before.
    front
        Whether the pair is for the list over all items; new items further down are for the list of new ones only.
    by_neighbours, by_ease
        ``float64``: scores of those baselines; -inf for an item that EASE does not know.
    """

    customer: Int64
    item: Int64
    own: Bools
    front: Bools
    by_neighbours: Float64
    by_ease: Float64

    def where(self, chosen: Bools) -> "Shortlist":
        """Return the chosen pairs, ``bool[p]``."""
        return Shortlist(
            self.customer[chosen],
            self.item[chosen],
            self.own[chosen],
            self.front[chosen],
            self.by_neighbours[chosen],
            self.by_ease[chosen],
        )


class Shortlister:
    """Draws up the shortlists of any customers of the past."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._decayed = known.decayed(OWN_DAYS)
        self._neighbours = decayed_and_neighbours(known).everything
        self._ease = ease(known).everything
        self._trending = best(known.trend, TRENDING)

    def of(self, rows: Int64) -> Shortlist:
        """Return the shortlists of customers' rows, ``int64[n]``, ascending."""
        parts = [
            self._part(rows[start : start + CUSTOMERS_AT_A_TIME]) for start in range(0, len(rows), CUSTOMERS_AT_A_TIME)
        ]
        return Shortlist(*(np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS))

    def _part(self, rows: Int64) -> Shortlist:
        neighbours, linear = self._neighbours(rows), self._ease(rows)
        counts = self._decayed[rows].toarray()
        customers, items, owns, fronts = [], [], [], []
        for place, row in enumerate(rows.tolist()):
            item, own, front = self._items(counts[place], neighbours[place], linear[place])
            customers.append(np.full(len(item), row, dtype=np.int64))
            items.append(item)
            owns.append(own)
            fronts.append(front)
        customer, item = np.concatenate(customers), np.concatenate(items)
        at = np.searchsorted(rows, customer)
        return Shortlist(
            customer,
            item,
            np.concatenate(owns),
            np.concatenate(fronts),
            neighbours[at, item].astype(np.float64),
            linear[at, item].astype(np.float64),
        )

    def _items(self, counts: Float64, neighbours: Floats, linear: Floats) -> tuple[Int64, Bools, Bools]:
        bought = counts > 0
        own = best(np.where(bought, counts, -np.inf), OWN)
        new = [
            best(np.where(bought, -np.inf, linear), BY_EASE),
            best(np.where(bought, -np.inf, neighbours), BY_NEIGHBOURS),
            self._trending[~bought[self._trending]],
        ]
        items = np.unique(np.concatenate([own, *new]))
        front = np.isin(items, np.concatenate([own, *(each[:FRONT] for each in new)]))
        return items, bought[items], front


_FIELDS = ("customer", "item", "own", "front", "by_neighbours", "by_ease")
