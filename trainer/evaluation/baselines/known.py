"""What a baseline may look at: purchases up to the cut, as lines and as matrices of customers by items."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from trainer.evaluation.protocol import DAY, Purchases

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

TREND_DAYS = 14.0


@dataclass(frozen=True)
class Known:
    """The past at a cut.

    Attributes
    ----------
    past
        Purchases sorted by customer, each customer's by time.
    cut
        Microseconds since the epoch; no purchase lies after it.
    starts
        ``int64[n + 1]``: where each customer's lines begin.
    age
        ``float64[m]``: days from each line to the cut.
    """

    past: Purchases
    cut: int
    starts: Int64
    age: Float64

    @classmethod
    def at(cls, past: Purchases, cut: int) -> "Known":
        """Prepare the past.

        Raises
        ------
        ValueError
            When the past holds a purchase after the cut.
        """
        if len(past) and int(past.time.max()) > cut:
            raise ValueError(
                f"a purchase of {np.datetime64(int(past.time.max()), 'us')} lies after the cut "
                f"{np.datetime64(cut, 'us')}: baselines are given the past only"
            )
        order = np.lexsort((past.time, past.customer))
        ordered = Purchases(past.customers, past.items, past.customer[order], past.item[order], past.time[order])
        starts = np.searchsorted(ordered.customer, np.arange(len(past.customers) + 1))
        return cls(ordered, cut, starts.astype(np.int64), (cut - ordered.time) / DAY)

    @property
    def shape(self) -> tuple[int, int]:
        """How many customers and items."""
        return len(self.past.customers), len(self.past.items)

    def matrix(self, weights: Float64 | None = None) -> csr_matrix:
        """Return ``float64[customers, items]``, sparse: the lines' weights summed; without any, the lines counted."""
        values = np.ones(len(self.past)) if weights is None else weights
        return csr_matrix((values, (self.past.customer, self.past.item)), self.shape)

    def decayed(self, days: float) -> csr_matrix:
        """Return ``float64[customers, items]``, sparse: lines counted, each weighing exp(-age / days)."""
        return self.matrix(np.exp(-self.age / days))

    @cached_property
    def bought(self) -> csr_matrix:
        """``float32[customers, items]``, sparse: 1 where the customer has bought the item."""
        binary = self.matrix().astype(np.float32)
        binary.data[:] = 1.0
        return binary

    @cached_property
    def trend(self) -> Float64:
        """``float64[items]``: purchase lines, each weighing exp(-age / 14 days)."""
        return self.popularity(np.exp(-self.age / TREND_DAYS))

    def popularity(self, weights: Float64) -> Float64:
        """Return ``float64[items]``: the lines' weights summed over all customers."""
        return np.bincount(self.past.item, weights, minlength=self.shape[1]).astype(np.float64)

    def most_bought(self, count: int) -> Int64:
        """Return the ``count`` items with the most purchase lines, most first, ties by id."""
        lines = np.bincount(self.past.item, minlength=self.shape[1])
        return np.argsort(-lines, kind="stable")[:count].astype(np.int64)

    @cached_property
    def baskets(self) -> Int64:
        """``int64[m]``: each line's basket, numbered from 0 by customer and time; a basket is an instant of one
        customer."""
        customer, time = self.past.customer, self.past.time
        new = np.ones(len(self.past), dtype=np.int64)
        new[1:] = (np.diff(customer) != 0) | (np.diff(time) != 0)
        return np.cumsum(new) - 1
