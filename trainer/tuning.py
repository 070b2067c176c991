"""Tuning: recipes compared on what was known at an instant, by customers whom none of them learned from.

Nothing after the instant is read: not for training, not for judging. The exam is the newest window before it, so what
is chosen here may be judged by the evaluation at that instant, or a later one, without having seen its answers.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from feature_repo.shop import Shop
from trainer.inputs import Inputs
from trainer.recipe import Recipe
from trainer.scoring import directory
from trainer.train import Place, full

HELD_OUT = 0.25
"""Share of the customers who are asked, more than in an ordinary training: choices need narrower figures."""

FIGURES = ("ndcg_at_10", "candidate_recall", "auc", "log_loss", "calibration_error")


class Compared(NamedTuple):
    """A recipe's changes, by field, and what it scored: each of `FIGURES` and `seconds`, a value for each seed."""

    changes: dict[str, Any]
    figures: dict[str, list[float]]

    def mean(self, name: str) -> float:
        """Over the seeds."""
        return statistics.fmean(self.figures[name])

    def spread(self, name: str) -> float:
        """Standard deviation over the seeds, 0 for one."""
        values = self.figures[name]
        return statistics.stdev(values) if len(values) > 1 else 0.0


def grid(vary: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Every combination of fields' values, as typed on a command line; the recipe as it is comes first.

    Raises ValueError on a field that a recipe has not, or a value that it can't have.
    """
    known = {field.name: field for field in msgspec.structs.fields(Recipe)}
    unknown = [name for name in vary if name not in known]
    if unknown:
        raise ValueError(f"a recipe has no {unknown[0]!r}; it has {', '.join(known)}")
    values = {name: [_value(known[name], text) for text in texts] for name, texts in vary.items()}
    yield {}
    for combination in itertools.product(*values.values()):
        changes = {name: value for name, value in zip(values, combination, strict=True) if value != known[name].default}
        if changes:
            yield changes


def known_at(data: Path, shop: Shop, until: int) -> Inputs:
    """What a directory (see `trainer.scoring.directory`) holds of events up to an instant, microseconds, inclusive."""
    return directory.read(data, shop, happened_until=until)


def compare(
    inputs: Inputs,
    candidates: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
    place: Place,
    told: Callable[[Compared], None] = lambda _: None,
) -> list[Compared]:
    """Train each candidate in full with each seed and ask it about the same customers; the best nDCG@10 first.

    candidates: changes to the recipe; told: is given each as soon as it is known.
    """
    out = []
    for changes in candidates:
        figures: dict[str, list[float]] = {name: [] for name in (*FIGURES, "seconds")}
        for seed in seeds:
            recipe = msgspec.structs.replace(Recipe(), held_out=HELD_OUT, seed=seed, **changes)
            began = time.monotonic()
            found = full(inputs, recipe, place).trained.state.figures
            for name in FIGURES:
                figures[name].append(found[name])
            figures["seconds"].append(time.monotonic() - began)
        out.append(Compared(dict(changes), figures))
        told(out[-1])
    return sorted(out, key=lambda each: -each.mean("ndcg_at_10"))


def _value(field: msgspec.structs.FieldInfo, text: str) -> Any:
    try:
        return msgspec.convert(text, field.type, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{field.name}={text}: {error}") from error
