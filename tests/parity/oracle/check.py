"""Checking what the stream wrote, entity by entity and column by column, against the oracle."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.parity.oracle.compare import Report, compare
from tests.parity.oracle.oracle import DEFAULT_BOUNDS, Bounds, CatalogueEntry, Columns, Oracle, ShopProfile

Read = Callable[[list[str]], Mapping[str, Any]]
"""Reads the columns of the given entities, row by row, as they are stored."""

ReadPairs = Callable[[list[str], list[str]], Mapping[str, Any]]
"""Reads the pair columns of the given customers and items, which go together place by place; those of a customer
follow each other."""

AT_ONCE = 5000
PAIRS_AT_ONCE = 100_000


def check_features(
    shop: ShopProfile,
    interactions: pa.Table | Path | str,
    items: Iterable[CatalogueEntry],
    read_customer_rows: Read,
    read_item_rows: Read,
    as_of: int,
    bounds: Bounds = DEFAULT_BOUNDS,
    read_pairs: ReadPairs | None = None,
) -> Report:
    """Compare every stored column of every customer and item the interactions name.

    Parameters
    ----------
    shop
        The shop's profile.
    interactions
        Directory of the offline store, or a table of its columns.
    items
        The catalogue in the order of its rows.
    read_customer_rows
        Returns the features of the view ``customer_purchases``, RFM and session columns at ``as_of``; these under names
        with ``at_as_of.`` before them, for some are in both.
    read_item_rows
        Returns the features of the view ``item_purchases``, popularity and trend at ``as_of``, named likewise.
    as_of
        Microseconds since the epoch.
    read_pairs
        Returns all pair columns at ``as_of``; given it, every pair is checked too of which the
        customer holds a purchase.

    Returns
    -------
    Report
        With a column for each feature; a missing entity counts with every column.
    """
    oracle = Oracle(shop, interactions, items, as_of, bounds)
    customers, items_ = oracle.customers(), oracle.items()
    wanted = [
        (
            "customer",
            "customer_id",
            customers | _at(oracle.rfm() | oracle.sessions(), "customer_id"),
            read_customer_rows,
        ),
        ("item", "item_id", items_ | _at(oracle.popularity(), "item_id"), read_item_rows),
    ]
    report = Report()
    for group, key, expected, read in wanted:
        ids = expected[key]
        columns = [name for name in expected if name != key]
        for start in range(0, len(ids), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            part = {name: expected[name][rows] for name in columns}
            report += compare(group, ids[rows], part, read(list(ids[rows])))
    return report if read_pairs is None else report + _check_bought_pairs(oracle, read_pairs)


def _check_bought_pairs(oracle: Oracle, read: ReadPairs) -> Report:
    bought, report = oracle.bought_pairs(), Report()
    customers, items = bought["customer_id"], bought["item_id"]
    start = 0
    while start < len(customers):
        end = min(start + PAIRS_AT_ONCE, len(customers))
        while end < len(customers) and customers[end] == customers[end - 1]:
            end += 1  # a customer is read once
        rows = slice(start, end)
        report += check_pairs(oracle, customers[rows], items[rows], read(customers[rows], items[rows]))
        start = end
    return report


def check_pairs(
    oracle: Oracle, customer_ids: Sequence[str], item_ids: Sequence[str], actual: Mapping[str, Any]
) -> Report:
    """Compare the pair columns of the given pairs, ``actual`` being in their order."""
    entities = [f"{customer} × {item}" for customer, item in zip(customer_ids, item_ids, strict=True)]
    return compare("pair", entities, oracle.pairs(customer_ids, item_ids), actual)


def _at(columns: Columns, key: str) -> Columns:
    """Columns at the instant, under names of their own."""
    return {f"at_as_of.{name}": np.asarray(values) for name, values in columns.items() if name != key}
