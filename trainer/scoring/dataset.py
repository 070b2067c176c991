"""The benchmark's rows: Algorithm 1's pairs (thesis 6.3) with the features of the split, and who may learn from which.

Positives are what was bought in the last days. Left out are items that nobody had bought before the split: no
negative can be drawn of them, so they would give themselves away.

Two ways to part what is learned from and what is asked:

``customers``
    Both sides are of the last days, of different customers: no label of an asked customer is learned from. What the
    whole shop bought in these days is visible through the others' labels, as in the thesis.
``time``
    Learned from are the days before, with the features of their own split; asked are the last days, all customers.
    Nothing that happened after the asked split has been seen by anything.

The models never look at the ids of customers and items, which would let them learn pairs by heart, nor at a context:
only who bought has one, so it would say who did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.columns import Column, Group, columns
from feature_repo.encoder import EncoderSpec
from feature_repo.purchases import DAY
from trainer.examples import encoded, pair_inputs
from trainer.inputs import Inputs, NothingToLearnError
from trainer.labels import customer_weights, item_weights, labelled
from trainer.pair_values import pair_values
from trainer.vocabulary import Vocabularies, added, count
from trainer.windows import Pairs, Span, Window, windows
from trainer.workflow import Moments, Workflow, fit_moments

Parting = Literal["customers", "time"]
IDENTITIES = ("customer_id", "item_id")
RARE = 5.0
"""Purchases below which an item attribute's value gets no code of its own."""

_TESTED, _WATCHED = 0.25, 0.1


@dataclass(frozen=True)
class Plan:
    """What is put together.

    Attributes
    ----------
    parting
        How learning and asking are kept apart.
    groups
        Whose columns the models see: without ``pair`` they are those of the thesis, a customer's and an item's.
    days
        Length of the label period (thesis: 20).
    customers
        At most so many customers, drawn evenly; None: all.
    """

    parting: Parting = "customers"
    groups: tuple[Group, ...] = ("customer", "item", "pair")
    days: int = 20
    customers: int | None = None


class Rows(NamedTuple):
    """Encoded pairs: codes int32[m, C], numbers float32[m, F], label float32[m] in {0, 1}."""

    codes: NDArray[np.int32]
    numbers: NDArray[np.float32]
    label: NDArray[np.float32]

    def take(self, chosen: NDArray[np.bool_]) -> Rows:
        """The rows where `chosen`, bool[m], holds."""
        return Rows(self.codes[chosen], self.numbers[chosen], self.label[chosen])


class Parts(NamedTuple):
    """One draw: learned from; watched, to know when a network has learned enough; asked."""

    train: Rows
    watch: Rows
    test: Rows


@dataclass(frozen=True)
class Dataset:
    """Everything that does not depend on the seed.

    Attributes
    ----------
    looks
        The window learned from and the window asked; with ``customers`` it is the same one twice.
    kept
        bool[customers]: whom the plan lets take part.
    """

    plan: Plan
    inputs: Inputs
    columns: tuple[Column, ...]
    workflow: Workflow
    looks: tuple[Window, Window]
    kept: NDArray[np.bool_]

    @property
    def spec(self) -> EncoderSpec:
        """The encoder of the matrices' columns."""
        return self.workflow.spec

    @property
    def chosen(self) -> list[Column]:
        """The columns that the models see, in the order of the matrices: codes first, then numbers."""
        seen = [c for c in self.columns if c.group in self.plan.groups and c.name not in IDENTITIES]
        return sorted(seen, key=lambda column: column.kind)

    def draw(self, seed: int) -> Parts:
        """Algorithm 1 and the parting with one seed; the same seed, the same rows."""
        rng = np.random.default_rng([seed, 61])
        share = rng.random(len(self.inputs.log.customer_ids))
        learned, asked = self.looks
        if learned is asked:
            pairs, rows = _rows(self, asked, rng)
            tested, place = share[pairs.customer] < _TESTED, share[pairs.customer]
            watched = ~tested & (place < _TESTED + _WATCHED)
            return Parts(rows.take(~tested & ~watched), rows.take(watched), rows.take(tested))
        pairs, rows = _rows(self, learned, rng)
        watched = share[pairs.customer] < _WATCHED
        return Parts(rows.take(~watched), rows.take(watched), _rows(self, asked, rng)[1])


def dataset(inputs: Inputs, plan: Plan, place: Callable[[], Path]) -> Dataset:
    """Look back from the split or splits and fit the preprocessing on what is learned from.

    place: gives a new directory's name for vocabulary files. Raises NothingToLearnError where nobody who had bought
    before the split bought after it.
    """
    split_at = inputs.until_at - plan.days * DAY
    spans = [Span(split_at, inputs.until_at)]
    if plan.parting == "time":
        spans.insert(0, Span(split_at - plan.days * DAY, split_at))
    found = windows(inputs, spans)
    if any(len(look.positives.customer) == 0 for look in found):
        raise NothingToLearnError(
            f"nobody bought both before and after the split {plan.days} days before the end of the data"
        )
    looks = found[0], found[-1]
    kept = _kept(inputs, plan)
    shop_columns = tuple(c for c in columns(inputs.shop) if c.group != "request")
    counts = _vocabulary_counts(shop_columns, looks[0])
    attributes = {c.vocabulary: RARE for c in _of(shop_columns, "item") if c.kind == "categorical"}
    vocabularies = Vocabularies({}).extended(counts, attributes)
    moments = _moments(shop_columns, inputs, looks[0], kept)
    workflow = Workflow(shop_columns, vocabularies, moments, place())
    return Dataset(plan, inputs, shop_columns, workflow, looks, kept)


def algorithm_1(
    inputs: Inputs, look: Window, kept: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Pairs, NDArray[np.float32]]:
    """The labelled pairs of a window among the kept customers, sorted by customer: pairs and float32[m] labels."""
    item = item_weights(look)
    own = look.positives
    inside = kept[own.customer] & (look.items["item_purchases"][own.item] > 0)
    positives = Pairs(own.customer[inside], own.item[inside])
    pairs, label = labelled(positives, customer_weights(inputs.log, look) * kept, item, rng)
    order = np.argsort(pairs.keys(len(inputs.catalogue)))
    return Pairs(pairs.customer[order], pairs.item[order]), label[order]


def _rows(data: Dataset, look: Window, rng: np.random.Generator) -> tuple[Pairs, Rows]:
    pairs, label = algorithm_1(data.inputs, look, data.kept, rng)
    tables, pair = encoded(data.workflow, look), pair_inputs(data.inputs, data.workflow, look, pairs)
    own, item = tables.customers.take(pairs.customer), tables.items.take(pairs.item)
    codes = np.concatenate([own.codes, item.codes, pair.codes], axis=1)
    numbers = np.concatenate([own.numbers, item.numbers, pair.numbers], axis=1)
    wanted = {column.name for column in data.chosen}
    of_codes = [c.name in wanted for c in data.spec.categorical]
    of_numbers = [c.name in wanted for c in data.spec.continuous]
    return pairs, Rows(codes[:, of_codes], numbers[:, of_numbers], label)


def _kept(inputs: Inputs, plan: Plan) -> NDArray[np.bool_]:
    n = len(inputs.log.customer_ids)
    kept = np.ones(n, dtype=bool)
    if plan.customers is not None and plan.customers < n:
        kept[:] = False
        kept[np.random.default_rng(0).choice(n, plan.customers, replace=False)] = True
    return kept


def _vocabulary_counts(shop_columns: Sequence[Column], look: Window) -> dict[str, dict[str, float]]:
    own = {name: values[look.known] for name, values in look.customers.items()}
    return added(
        count(_of(shop_columns, "customer"), own, None),
        count(_of(shop_columns, "item"), look.items, look.items["item_purchases"]),
    )


def _moments(shop_columns: Sequence[Column], inputs: Inputs, look: Window, kept: NDArray[np.bool_]) -> Moments:
    """Moments over rows like those that the models will see; a number's mean says nothing of a label."""
    pairs, _ = algorithm_1(inputs, look, kept, np.random.default_rng(0))
    values = {
        "customer": {name: column[pairs.customer] for name, column in look.customers.items()},
        "item": {name: column[pairs.item] for name, column in look.items.items()},
        "pair": pair_values(inputs, look, pairs),
    }
    fitted = [fit_moments(_of(shop_columns, group), own) for group, own in values.items()]
    return Moments(
        {name: value for each in fitted for name, value in each.mean.items()},
        {name: value for each in fitted for name, value in each.deviation.items()},
    )


def _of(shop_columns: Sequence[Column], group: str) -> list[Column]:
    return [column for column in shop_columns if column.group == group]
