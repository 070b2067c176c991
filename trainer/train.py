"""Training runs: one in full, from nothing, and one that continues a trained model on what is new."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from feature_repo.columns import Column, columns
from feature_repo.request_context import tells
from trainer import held_out
from trainer.batches import enough_epochs
from trainer.checkpoint import State, Trained, build
from trainer.examples import (
    Examples,
    Tables,
    chosen_customers,
    encoded,
    example_pairs,
    examples,
    stacked_examples,
    stacked_tables,
)
from trainer.growth import forget, take_over, welcome
from trainer.inputs import Inputs, NothingToLearnError
from trainer.learning_rate import Progress
from trainer.model_schema import capacities
from trainer.pair_values import pair_values
from trainer.ranker import Ranker
from trainer.recipe import Recipe
from trainer.request_contexts import told
from trainer.stack import Stack, Trees, halves, joined
from trainer.two_tower import WindowRetriever
from trainer.vocabulary import Counts, Vocabularies, added, count
from trainer.windows import Int64, Span, Window, plan, windows
from trainer.workflow import Moments, Workflow, encoder_spec, fit_moments

Place = Callable[[], Path]
"""Gives a new directory's name for vocabulary files, in a place that lives as long as the process."""

CUSTOMERS = "customer_id"
"""The vocabulary of customers' ids."""

Phase = Callable[[str, float], None]
"""Told a phase's name and its seconds."""


def silent(_: str, __: float) -> None:
    """Progress that nobody follows."""


class Run(NamedTuple):
    """What a training run leaves: the model, and the shop as it is at the end of the data."""

    trained: Trained
    present: Window


def full(inputs: Inputs, recipe: Recipe, place: Place, progress: Progress = silent, phase: Phase = silent) -> Run:
    """Train from nothing on the recipe's past windows.

    Raises NothingToLearnError where the data holds no purchase after a split to learn from.
    """
    shop_columns = columns(inputs.shop)
    with _timed(phase, "features"):
        looks, present = _look_back(inputs, recipe.window_days, recipe.windows)
        vocabularies = Vocabularies({}).extended(_counts(inputs, shop_columns, present), _minimum(shop_columns, recipe))
        moments = _moments(inputs, shop_columns, looks[-1], recipe)
        spec = encoder_spec(shop_columns, vocabularies, moments)
        state = State(
            columns=shop_columns, recipe=recipe, vocabularies=vocabularies, moments=moments,
            capacities=capacities(spec), from_at=looks[0].span.split_at, until_at=inputs.until_at,
            interactions=len(inputs.log.events), figures={},
        )  # fmt: skip
    with _timed(phase, "build"):
        trained = build(state, place())
    everybody = np.ones(len(inputs.log.customer_ids), dtype=bool)
    scale = 1.0, recipe.tower_epochs, recipe.ranker_epochs
    return Run(_learn(trained, inputs, looks, [everybody] * len(looks), scale, progress, phase), present)


def incremental(
    inputs: Inputs, before: Trained, place: Place, progress: Progress = silent, phase: Phase = silent
) -> Run:
    """Continue a trained model, weights and optimizers, on what happened since and a sample of what it knows.

    The newest window is that of the recipe, so labels mean what they meant; in it learn the customers with news and a
    sample of the others, in the window before it a sample of all. New ids get codes and rows. `before` must not be
    used afterwards.
    """
    recipe = before.state.recipe
    rng = np.random.default_rng([recipe.seed, inputs.until_at // 1_000_000])
    with _timed(phase, "features"):
        looks, present = _look_back(inputs, recipe.window_days, 2)
        trained = _grown(before, inputs, present, place)
    known = rng.random((len(looks), len(inputs.log.customer_ids))) < recipe.replayed
    events = inputs.log.events
    known[-1][events.customer[np.maximum(events.time, events.arrival) > before.state.until_at]] = True
    scale = recipe.incremental_rate, 1, 1
    return Run(_learn(trained, inputs, looks, list(known), scale, progress, phase), present)


def _learn(
    trained: Trained,
    inputs: Inputs,
    looks: Sequence[Window],
    chosen: Sequence[NDArray[np.bool_]],
    scale: tuple[float, int, int],
    progress: Progress,
    phase: Phase,
) -> Trained:
    """Fit both models on the windows' chosen customers, then measure.

    What the two-tower proposes is put to the ranker only in a window whose purchases the two-tower has not learned
    from yet. In a window that it knows it proposes what was bought, and the ranker comes to believe that whatever it
    proposes is bought.

    chosen: for each window bool[customers]; scale: share of the recipe's learning rates, epochs of tower and ranker.
    """
    recipe, workflow = trained.state.recipe, trained.workflow
    rate, tower_epochs, ranker_epochs = scale
    from_nothing = trained.parent is None
    retriever = WindowRetriever(trained.tower, workflow)
    *earlier, newest = range(len(looks))
    apart = from_nothing and bool(earlier)
    with _timed(phase, "encode"):
        tables = stacked_tables([encoded(workflow, look) for look in looks])

    def teach_tower(places: Sequence[int]) -> float:
        customer, item = _positives(inputs, looks, chosen, places)
        epochs = enough_epochs(len(customer), recipe.tower_batch, tower_epochs) if from_nothing else tower_epochs
        with _timed(phase, "two_tower"):
            return trained.tower.fit(
                tables, customer, item, epochs=epochs, rate=recipe.tower_rate * rate, progress=progress
            )

    if apart:
        teach_tower(earlier)
    with _timed(phase, "candidates"):
        learners = ~held_out.is_held_out(inputs.log.customer_ids, recipe.held_out)
        proposing = {newest: retriever} if apart else {}
        rows = _examples(inputs, trained, looks, [mask & learners for mask in chosen], proposing)
        paper = held_out.exam(inputs, workflow, looks[-1], recipe, retriever if apart else None)
    tower_loss = teach_tower([newest] if apart else range(len(looks)))
    parent = None if from_nothing else held_out.figures(trained.stack, paper)
    with _timed(phase, "ranker"):
        loss = trained.ranker.fit(tables, rows, epochs=ranker_epochs, rate=recipe.ranker_rate * rate, progress=progress)
    if from_nothing:
        with _timed(phase, "trees"):
            trained.trees = _trees(inputs, trained, tables, rows)
    raw = Stack(trained.ranker, trained.trees)
    trained.state = msgspec.structs.replace(trained.state, calibration=held_out.calibrated(raw, paper))
    figures = held_out.figures(trained.stack, paper) | {
        "two_tower_loss": tower_loss,
        "ranker_loss": loss,
        "examples": float(len(rows.label)),
        "positives": float(rows.label.sum()),
    }
    if parent is not None:
        figures |= {f"parent_{name}": value for name, value in parent.items()}
    trained.state = msgspec.structs.replace(trained.state, figures=figures)
    return trained


def _trees(inputs: Inputs, trained: Trained, tables: Tables, rows: Examples) -> Trees | None:
    """Trees over the ranker, learned from scores of customers that the scoring DLRM was not trained on.

    None where there is too little to learn from.
    """
    recipe, workflow = trained.state.recipe, trained.workflow
    half = halves(inputs.log.customer_ids)[rows.customer % len(inputs.log.customer_ids)]
    if min(rows.label[half].sum(), rows.label[~half].sum()) < recipe.least_stacked:
        return None
    score = np.empty(len(rows.label), np.float32)
    for mine in (half, ~half):
        other = Ranker(workflow.spec, trained.state.capacities, recipe)
        other.fit(tables, rows.take(~mine), epochs=recipe.ranker_epochs, rate=recipe.ranker_rate, progress=silent)
        score[mine] = other.predict(tables, rows.take(mine))
    return Trees.learned(joined(tables, rows, score), rows.label, recipe)


def parent_figures(state: State) -> dict[str, float] | None:
    """What the model scored in the exam before this run taught it, None where it began from nothing."""
    found = {n.removeprefix("parent_"): v for n, v in state.figures.items() if n.startswith("parent_")}
    return {name: value for name, value in found.items() if not math.isnan(value)} or None


def _grown(before: Trained, inputs: Inputs, newest: Window, place: Place) -> Trained:
    """The same models with codes and rows for what is new."""
    old = before.state
    departed = inputs.departed(old.vocabularies.values.get(CUSTOMERS, ()), old.until_at)
    known, freed = old.vocabularies.without(CUSTOMERS, departed)
    vocabularies = known.extended(_counts(inputs, old.columns, newest), _minimum(old.columns, old.recipe))
    spec = encoder_spec(old.columns, vocabularies, old.moments)
    state = msgspec.structs.replace(
        old, vocabularies=vocabularies, capacities=capacities(spec, old.capacities), until_at=inputs.until_at,
        interactions=len(inputs.log.events),
    )  # fmt: skip
    if state.capacities == old.capacities:
        workflow = before.workflow
        if vocabularies != old.vocabularies:
            workflow = Workflow(state.columns, vocabularies, state.moments, place())
        grown = Trained(state, workflow, before.tower, before.ranker)
    else:
        grown = build(state, place())
        take_over(grown.tower, before.tower)
        take_over(grown.ranker, before.ranker)
    for part in (grown.tower, grown.ranker):
        welcome(part, before.workflow.spec, spec)
        forget(part, CUSTOMERS, freed)
    grown.parent, grown.trees = before.version, before.trees
    return grown


def _positives(
    inputs: Inputs, looks: Sequence[Window], chosen: Sequence[NDArray[np.bool_]], places: Sequence[int]
) -> tuple[Int64, Int64]:
    """The chosen customers' positives in the windows at `places`, as rows of the stacked tables."""
    who, what = [], []
    for place in places:
        look = looks[place]
        taken = chosen[place][look.positives.customer]
        who.append(look.positives.customer[taken] + place * len(inputs.log.customer_ids))
        what.append(look.positives.item[taken] + place * len(inputs.catalogue))
    return np.concatenate(who), np.concatenate(what)


def _examples(
    inputs: Inputs,
    trained: Trained,
    looks: Sequence[Window],
    chosen: Sequence[NDArray[np.bool_]],
    proposing: Mapping[int, WindowRetriever],
) -> Examples:
    """Examples of all windows; `proposing`: by place the windows in which the two-tower proposes candidates."""
    recipe = trained.state.recipe
    rng = np.random.default_rng([recipe.seed, 1])
    parts = []
    for place, (look, mask) in enumerate(zip(looks, chosen, strict=True)):
        customers = chosen_customers(inputs, look, recipe, rng, mask)
        if len(customers):
            pairs, label = example_pairs(inputs, look, customers, proposing.get(place), recipe, recipe.seed)
            parts.append(examples(inputs, trained.workflow, look, pairs, label, place))
    return stacked_examples(parts)


def _look_back(inputs: Inputs, days: int, count: int) -> tuple[list[Window], Window]:
    """The past windows in which something was bought, oldest first, and the shop at the end of the data."""
    spans = plan(int(inputs.log.events.time.min()), inputs.until_at, days, count)
    *looks, present = windows(inputs, [*spans, Span(inputs.until_at, inputs.until_at)])
    found = [look for look in looks if len(look.positives.customer)]
    if not found:
        raise NothingToLearnError(
            "no customer who had bought before a split bought after it: there is nothing to learn yet; "
            "train again when more purchases have come"
        )
    return found, present


def _counts(inputs: Inputs, shop_columns: Sequence[Column], look: Window) -> Counts:
    """How often each category was seen: by customers, by purchases of items, and by purchases in a context."""
    customers = look.known
    own = {name: values[customers] for name, values in look.customers.items()}
    return added(
        count(_of(shop_columns, "customer"), own, None),
        count(_of(shop_columns, "item"), look.items, look.items["item_purchases"]),
        count(_of(shop_columns, "request"), *told(inputs)),
    )


def _minimum(shop_columns: Sequence[Column], recipe: Recipe) -> dict[str, float]:
    purchased = [*_of(shop_columns, "item"), *_of(shop_columns, "request")]
    return {c.vocabulary: float(recipe.rare) for c in purchased if c.kind == "categorical"}


def _moments(inputs: Inputs, shop_columns: Sequence[Column], look: Window, recipe: Recipe) -> Moments:
    """Moments over the rows that the ranker will see: examples of one window.

    Of a request's numbers over those that tell any: a shop that knows only the day of a purchase has one hour, and
    what that is must not become a number to the model by the requests that tell none.
    """
    rng = np.random.default_rng(recipe.seed)
    customers = chosen_customers(inputs, look, recipe, rng)
    pairs, _ = example_pairs(inputs, look, customers, None, recipe, recipe.seed)
    speaking = pairs.customer[tells(look.requests)[pairs.customer]]
    asking = speaking if len(speaking) else pairs.customer
    values = {
        "customer": {name: column[pairs.customer] for name, column in look.customers.items()},
        "item": {name: column[pairs.item] for name, column in look.items.items()},
        "pair": pair_values(inputs, look, pairs),
        "request": {name: column[asking] for name, column in look.requests.items()},
    }
    fitted = [fit_moments(_of(shop_columns, group), own) for group, own in values.items()]
    return Moments(
        {name: value for each in fitted for name, value in each.mean.items()},
        {name: value for each in fitted for name, value in each.deviation.items()},
    )


def _of(shop_columns: Sequence[Column], group: str) -> list[Column]:
    return [column for column in shop_columns if column.group == group]


@contextmanager
def _timed(phase: Phase, name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    phase(name, time.monotonic() - start)
