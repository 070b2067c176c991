"""Taking back all that customers ever added: their states become empty, and their items lose what they gave them."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from feature_repo.customer_state import EVICTED_FIELDS, CustomerStates
from feature_repo.heat import Heat
from feature_repo.item_deltas import item_deltas
from feature_repo.items_state import ItemDeltas
from feature_repo.purchases import PURCHASE
from feature_repo.ragged import Int64, keep, owners


@dataclass(frozen=True)
class Erased:
    """What `erase` returns.

    Attributes
    ----------
    states
        The same customers afterwards.
    due
        ``bool[n]``: whose state was taken away; the others were past their erasure already.
    deltas
        What the items lose.
    """

    states: CustomerStates
    due: npt.NDArray[np.bool_]
    deltas: ItemDeltas


def erase(states: CustomerStates, position: Int64) -> Erased:
    """Empty the states of customers who have not been read beyond their erasure.

    All lines of a history leave it at once, so items lose exactly what they would lack had the events never come:
    an item's sums are over what its buyers' histories hold. Two things stay, because they name nobody and nothing
    could say what they were before: an item's newest day, and its slots of the last hours.

    Parameters
    ----------
    states
        Each customer once.
    position
        ``int64[n]``: offset of each customer's erasure in its partition; the position of its state afterwards.
    """
    due = position > states.position
    leaving = due[owners(states.purchase_offsets)]
    purchases, purchase_offsets = keep(states.purchases, states.purchase_offsets, ~leaving)
    recent, recent_offsets = keep(states.recent, states.recent_offsets, ~due[owners(states.recent_offsets)])
    seen, seen_offsets = keep(states.seen, states.seen_offsets, ~due[owners(states.seen_offsets)])
    nothing = np.zeros(0, dtype=np.int64)
    deltas = item_deltas(
        states, purchases, purchase_offsets, np.zeros(0, PURCHASE), nothing,
        states.purchases[leaving], owners(states.purchase_offsets)[leaving],
        Heat(np.zeros(0, dtype=np.uint64), nothing, nothing, nothing),
    )  # fmt: skip
    after = replace(
        states,
        purchases=purchases,
        purchase_offsets=purchase_offsets,
        recent=recent,
        recent_offsets=recent_offsets,
        seen=seen,
        seen_offsets=seen_offsets,
        sealed=[b"" if leaves else ids for leaves, ids in zip(due.tolist(), states.sealed, strict=True)],
        evicted=np.where(due[:, None], np.zeros((1, len(EVICTED_FIELDS)), dtype=np.int64), states.evicted),
        position=np.maximum(states.position, position),
    )
    return Erased(after, due, deltas)
