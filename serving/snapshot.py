"""The model as a request sees it: one version, pinned from its start to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from feature_repo.encoder import GROUPS, Encoder
from feature_repo.request_context import request_columns
from feature_repo.taste import NO_TASTE, Taste
from serving.bundle import ENCODER, TASTE, Bundle
from serving.candidates import Rows
from serving.item_matrix import ItemMatrix
from serving.items_table import ItemsTable
from serving.recommendation import Scored
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
    taste
        Its tables of taste.
    untold
        The encoded inputs of a request that tells no context, one row.
    """

    bundle: Bundle
    encoder: Encoder
    item_rows: Rows
    matrix: ItemMatrix
    taste: Taste
    untold: Scored

    @property
    def version(self) -> int:
        """The bundle's version."""
        return self.bundle.version

    def vectors(self, rows: Rows) -> NDArray[np.float32]:
        """float32[k, d]: the model's embedding of each catalogue row, zeros for items that it does not know."""
        vectors, places = self._vectors, self._places
        inside = rows < len(places)
        at = np.where(inside, places[np.where(inside, rows, 0)], -1)
        found = np.zeros((len(rows), vectors.shape[1]), np.float32)
        found[at >= 0] = vectors[at[at >= 0]]
        return found

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        return self.bundle.item_embeddings()

    @cached_property
    def _places(self) -> Rows:
        """int64[rows]: place of each catalogue row among the bundle's items, -1 where it has none."""
        places = np.full(int(self.item_rows.max()) + 1, -1, np.int64)
        places[self.item_rows] = np.arange(len(self.item_rows))
        return places


def widths(encoder: Encoder) -> Widths:
    """Column counts of an encoder's inputs."""
    counts = {group: tuple(map(len, encoder.names(group))) for group in GROUPS}
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
    untold = request_columns(items.shop, [{}], np.zeros(1, np.int64))
    return Snapshot(
        bundle=bundle,
        encoder=encoder,
        item_rows=item_rows,
        matrix=matrix,
        taste=_taste(bundle, encoder, item_rows),
        untold=Scored(*encoder.encode(untold, "request")),
    )


def _taste(bundle: Bundle, encoder: Encoder, item_rows: Rows) -> Taste:
    tables = bundle.taste()
    if tables is not None:
        return Taste.of(tables, item_rows)
    if "taste" in encoder.names("pair")[1]:
        raise ValueError(f"bundle {bundle.path}: the model takes the pair column 'taste', and there is no {TASTE}")
    return NO_TASTE
