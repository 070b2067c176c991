"""The model as a request sees it: one version, pinned from its start to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass

from feature_repo.encoder import Encoder
from serving.bundle import ENCODER, Bundle
from serving.candidates import Rows
from serving.item_matrix import ItemMatrix
from serving.items_table import ItemsTable
from serving.scorer import Widths

FILLED_AT_ONCE = 500
PAUSE_S = 0.002
"""Item columns are encoded in steps: each holds the interpreter for about a millisecond, then requests have it."""


@dataclass(frozen=True)
class Snapshot:
    """A bundle ready to answer.

    Attributes
    ----------
    bundle
        The verified bundle.
    encoder
        Its encoder.
    item_rows
        int64[n_items]: catalogue row of each of its items.
    matrix
        Item columns of the whole catalogue, encoded.
    """

    bundle: Bundle
    encoder: Encoder
    item_rows: Rows
    matrix: ItemMatrix

    @property
    def version(self) -> int:
        """The bundle's version."""
        return self.bundle.version


def widths(encoder: Encoder) -> Widths:
    """Column counts of an encoder's inputs."""
    counts = {group: tuple(map(len, encoder.names(group))) for group in ("customer", "item", "pair")}
    return Widths(
        query_categorical=counts["customer"][0],
        query_continuous=counts["customer"][1],
        categorical=sum(count[0] for count in counts.values()),
        continuous=sum(count[1] for count in counts.values()),
    )


def snapshot(bundle: Bundle, items: ItemsTable, day: int) -> Snapshot:
    """Make a snapshot of a bundle, its item matrix encoded for a UTC day; takes seconds on a large catalogue.

    Raises ValueError where the bundle was made for another shop's profile or its encoder cannot be read.
    """
    if bundle.manifest.shop != items.shop.name:
        raise ValueError(
            f"bundle {bundle.path} is for shop {bundle.manifest.shop!r}, this process serves {items.shop.name!r}: "
            "set HEADWATER_SHOP or train on this shop's data"
        )
    encoder = Encoder.read(bundle.file(ENCODER))
    item_rows = items.ensure(bundle.items())
    matrix = items.matrix(encoder)
    while not matrix.fill(day, len(items.catalogue), FILLED_AT_ONCE):
        time.sleep(PAUSE_S)
    return Snapshot(bundle, encoder, item_rows, matrix)
