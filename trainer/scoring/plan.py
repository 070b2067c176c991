"""How much a benchmark takes upon itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Sizes, the same for every data set.

    Attributes
    ----------
    trees
        Of the forest; boosting may take twice as many.
    epochs
        At most so many for a network; it keeps those of the epoch that foretold the watched rows best.
    batch
        Rows of a network's step, fewer where there are few rows.
    """

    seeds: tuple[int, ...] = (1, 2, 3)
    trees: int = 200
    epochs: int = 6
    batch: int = 1024


QUICK = Effort(seeds=(1,), trees=60, epochs=3)
"""To see that everything works; its figures are nobody's."""

QUICK_CUSTOMERS = 400
