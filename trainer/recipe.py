"""The recipe of a training run: everything that may be tuned, in one value that travels with the checkpoint."""

from __future__ import annotations

import msgspec


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hyper-parameters.

    Attributes
    ----------
    window_days
        Days of purchases after a split that are positives (thesis 6.3: 20).
    windows
        Past windows that a full training learns from, one behind the other.
    seed
        Of every random choice.
    rare
        Purchases below which an item or an item attribute's value gets no code of its own.
    customers_per_window
        At most this many customers of a window, drawn by recent activity.
    negatives_per_positive
        Candidates that were not bought, for each one that was.
    sampled_per_positive
        Algorithm 1's negatives, for each positive pair.
    held_out
        Share of customers that the ranker never trains on, for the gate's figures.
    ranker_leaves_out
        Columns that the ranker is given but does not look at: the ids, which it would learn by heart.
    """

    window_days: int = 20
    windows: int = 4
    seed: int = 17
    rare: int = 5
    customers_per_window: int = 20_000
    negatives_per_positive: float = 6.0
    sampled_per_positive: float = 1.0
    held_out: float = 0.05
    ranker_leaves_out: tuple[str, ...] = ("customer_id", "item_id")

    ranker_embedding: int = 16
    ranker_bottom: tuple[int, ...] = (128, 64)
    ranker_top: tuple[int, ...] = (128, 64)
    ranker_rate: float = 1e-3
    ranker_batch: int = 4096
    ranker_epochs: int = 2

    trees: int = 40
    tree_leaves: int = 31
    tree_rate: float = 0.15
    tree_smallest: int = 60
    """Examples that a leaf holds at least."""
    tree_threads: int = 1
    """More wait for each other wherever processors are shared."""
    least_stacked: int = 500
    """Positives below which no trees are put on the DLRM: they would learn chance."""

    tower_dimension: int = 64
    tower_hidden: int = 256
    tower_identity: int = 32
    tower_attribute: int = 32
    tower_rate: float = 5e-3
    tower_batch: int = 2048
    tower_epochs: int = 2
    tower_temperature: float = 0.07
    tower_normalised: bool = True

    incremental_rate: float = 0.3
    """Share of the full training's learning rate that an incremental run continues with."""
    replayed: float = 0.3
    """Share of the customers without news, and of the window before, that an incremental run sees again."""
