"""Examples for the ranker: who is shown what, and did they buy it?

Beside Algorithm 1's negatives stand the candidates that serving would have scored, bought or not, because those are
what the ranker has to tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.candidates import Retriever, candidates
from trainer.inputs import Inputs
from trainer.labels import customer_weights, item_weights, negatives
from trainer.pair_values import pair_values
from trainer.recipe import Recipe
from trainer.windows import Int64, Pairs, Window
from trainer.workflow import Encoded, Workflow, stacked


@dataclass(frozen=True)
class Tables:
    """Encoded customers and items of one or more windows, one below the other; `requests` stand as customers do."""

    customers: Encoded
    items: Encoded
    requests: Encoded


class Examples(NamedTuple):
    """Rows for the ranker: int64[m] rows of the tables, the pair's own columns, float32[m] labels."""

    customer: Int64
    item: Int64
    pair: Encoded
    label: NDArray[np.float32]

    def take(self, rows: NDArray[np.bool_]) -> Examples:
        """The examples at which `rows`, bool[m], is true."""
        places = np.flatnonzero(rows)
        return Examples(self.customer[places], self.item[places], self.pair.take(places), self.label[places])


def encoded(workflow: Workflow, window: Window) -> Tables:
    """All customers, items and requests of a window through the NVTabular workflow."""
    return Tables(
        workflow.transform(window.customers, "customer"),
        workflow.transform(window.items, "item"),
        workflow.transform(window.requests, "request"),
    )


def pair_inputs(inputs: Inputs, workflow: Workflow, window: Window, pairs: Pairs) -> Encoded:
    """The pair columns of pairs that are sorted by customer, encoded."""
    return workflow.transform(pair_values(inputs, window, pairs), "pair")


def chosen_customers(
    inputs: Inputs, window: Window, recipe: Recipe, rng: np.random.Generator, keep: NDArray[np.bool_] | None = None
) -> Int64:
    """Customers of a window to learn from: those who bought in it, at most `recipe.customers_per_window`.

    keep: bool[customers], which of them may be chosen.
    """
    who = np.unique(window.positives.customer)
    if keep is not None:
        who = who[keep[who]]
    if len(who) <= recipe.customers_per_window:
        return who
    weights = customer_weights(inputs.log, window)[who] + 1e-9
    drawn = rng.choice(who, recipe.customers_per_window, replace=False, p=weights / weights.sum())
    return np.sort(drawn).astype(np.int64)


def example_pairs(
    inputs: Inputs, window: Window, customers: Int64, retriever: Retriever | None, recipe: Recipe, seed: int
) -> tuple[Pairs, NDArray[np.float32]]:
    """The pairs of a window and their labels: candidates bought, candidates not bought, Algorithm 1's negatives.

    What was bought without having been a candidate is left out: the ranker is never asked about it, and taken in, it
    teaches that a never-bought item is as likely as not (measured on Complete Journey: nDCG@10 .386 falls to .243).
    """
    rng = np.random.default_rng([seed, window.span.split_at // 1_000_000])
    width = len(inputs.catalogue)
    own = np.isin(window.positives.customer, customers)
    bought = Pairs(window.positives.customer[own], window.positives.item[own])
    bought_keys = bought.keys(width)
    shown = candidates(window, inputs.catalogue.keys, customers, retriever).keys(width)
    hits = np.intersect1d(shown, bought_keys, assume_unique=True)
    refused = np.setdiff1d(shown, bought_keys, assume_unique=True)
    kept = rng.permutation(refused)[: max(int(recipe.negatives_per_positive * len(hits)), len(customers))]
    active = customer_weights(inputs.log, window) * np.isin(np.arange(len(inputs.log.customer_ids)), customers)
    wanted = int(recipe.sampled_per_positive * len(hits))
    drawn = negatives(bought, wanted, active, item_weights(window), rng).keys(width)
    keys = np.unique(np.concatenate([hits, kept, drawn]))
    return Pairs(keys // width, keys % width), np.isin(keys, hits).astype(np.float32)


def examples(
    inputs: Inputs, workflow: Workflow, window: Window, pairs: Pairs, label: NDArray[np.float32], place: int
) -> Examples:
    """Encode pairs; `place` is the window's place among the stacked tables."""
    customers, items = len(inputs.log.customer_ids), len(inputs.catalogue)
    return Examples(
        pairs.customer + place * customers,
        pairs.item + place * items,
        pair_inputs(inputs, workflow, window, pairs),
        label,
    )


def stacked_tables(parts: Sequence[Tables]) -> Tables:
    """The tables of several windows in one."""
    return Tables(
        stacked([p.customers for p in parts]), stacked([p.items for p in parts]), stacked([p.requests for p in parts])
    )


def stacked_examples(parts: Sequence[Examples]) -> Examples:
    """The examples of several windows in one."""
    return Examples(
        np.concatenate([p.customer for p in parts]),
        np.concatenate([p.item for p in parts]),
        stacked([p.pair for p in parts]),
        np.concatenate([p.label for p in parts]),
    )
