"""What similar items are set to, chosen on days before those they are judged on: `python -m benchmarks.similar_choice`.

`make bench BENCH=similar` judges on the last 20 days of the data. Here the same questions are asked of the 20 days
before those, with texts, baskets and popularity from before them; the last 20 days are not read. The rules stand in
`choose`, and were written before the first run.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks import similar as bench
from benchmarks.similar_orders import beside, by_lift
from benchmarks.similar_quality import AT, Judged, best_sellers, later_baskets, lists_with, same_value
from benchmarks.similar_stage import Past, history
from deploy.demo.world import DAYS_LIVE
from deploy.stack.site import ROOT
from serving.items_table import ItemsTable
from serving.similar.blend import Taste, best, blended
from serving.similar.followers import Intake
from serving.similar.neighbourhood import Neighbourhood
from serving.similar.standalone import standalone
from streams import offline
from streams.contracts.codec import encode
from streams.contracts.compacted import Record
from trainer.similarity import neighbours
from trainer.similarity.baskets import Baskets
from trainer.similarity.neighbours import Plan
from trainer.similarity.reading import COLUMNS, read

PRIORS = (1.0, 5.0, 10.0, 20.0, 50.0, 100.0)
HALVES = (0.02, 0.05, 0.1, 0.2)
SELLS = (0.0, 0.05, 0.1, 0.2)
BLENDS = (0.25, 0.4, 0.5, 0.6, 0.75)
STAPLES = 0.05
"""Of lists bought together, how many may hold one of the shop's ten best sellers."""
ALIKE = 0.8
"""Of the items shown as similar, how many have to be of the item's own product type."""


class Setting(NamedTuple):
    """What is to be chosen for similar items."""

    half: float
    sells: float
    blend: float


def choose(world: Past, console: Console) -> dict[str, Any]:
    """Choose, in two steps, each by one figure under one condition.

    1. `prior`: bought together finds most in the same basket, while no more than `STAPLES` of its lists hold one of
       the shop's ten best sellers.
    2. `half`, `sells` and `blend`: similar items find most in the next basket, while `ALIKE` of them are of the
       item's own product type.
    """
    later = later_baskets(world.source, world.cut, world.judged_from + 1)
    before = read(offline.parts(world.site.state / "offline", until_time=world.cut + 1, columns=COLUMNS))
    attributes = {item.item_id: item.attributes for item in world.source.items()}
    listed = np.array([each in attributes for each in before.item_ids])
    console.print(f"{len(before)} baskets before, {len(later)} after; {len(np.unique(later.items))} items asked about")
    lists = beside(before, listed, {str(prior): by_lift(prior) for prior in PRIORS})
    priors = {prior: _judged_together(later, found, best_sellers(before)) for prior, found in lists.items()}
    allowed = {prior: found for prior, found in priors.items() if found["lists_with_staples"] <= STAPLES}
    prior = float(max(allowed or priors, key=lambda each: priors[each]["same_basket"]))
    console.print(priors, f"prior {prior}")
    with standalone(world.settings) as found:
        kind = _numbers([attributes.get(each, {}).get(world.shop.category, "") for each in before.item_ids])
        near = _neighbourhood(found.items, found.similar.intake, before, kind, listed, Plan(prior=prior))
        settings = _lists(near, [later.item_ids[item] for item in np.unique(later.items).tolist()])
    product_type = {item: each.get("product_type", "") for item, each in attributes.items()}
    tried = {setting: _judged_similar(later, found, product_type) for setting, found in settings.items()}
    alike = {setting: each for setting, each in tried.items() if each["same_product_type"] >= ALIKE}
    chosen = max(alike or tried, key=lambda setting: tried[setting]["next_basket"])
    return {
        "prior": prior,
        **chosen._asdict(),
        "priors": priors,
        "tried": [setting._asdict() | figures for setting, figures in tried.items()],
    }


def _judged_together(later: Baskets, found: Mapping[str, Sequence[str]], staples: set[str]) -> dict[str, float]:
    return {
        "same_basket": Judged(later, lambda item: found.get(item, [])).same_basket()["hit_rate"],
        "lists_with_staples": lists_with(staples, found.values()),
    }


def _judged_similar(later: Baskets, found: Mapping[str, Sequence[str]], kind: Mapping[str, str]) -> dict[str, float]:
    judged = Judged(later, lambda item: found.get(item, []))
    return {
        "next_basket": judged.next_baskets()["hit_rate"],
        "same_product_type": same_value(list(found), lambda item: found[item], kind),
    }


def _neighbourhood(
    items: ItemsTable,
    followed: Intake,
    before: Baskets,
    kind: NDArray[np.int64],
    listed: NDArray[np.bool_],
    plan: Plan,
) -> Neighbourhood:
    """Answers from the texts that are followed and from neighbours counted here."""
    intake = Intake(items.catalogue.row)
    intake.vectors = followed.vectors
    intake.neighbours.apply(
        Record(each.item_id.encode(), encode(each), 0, 0, 0)
        for each in neighbours.neighbours(before, kind, listed, plan)
    )
    return Neighbourhood(items, intake, lambda: items.newest_event_at)


def _lists(near: Neighbourhood, asked: Sequence[str]) -> dict[Setting, dict[str, list[str]]]:
    """For each setting the ids beside each item; what fills up an answer that evidence leaves short is left out."""
    settings = [Setting(*each) for each in itertools.product(HALVES, SELLS, BLENDS)]
    found: dict[Setting, dict[str, list[str]]] = {setting: {} for setting in settings}
    ids = near.item_ids
    for item in asked:
        evidence = near.evidence(item, AT)
        for setting in settings:
            scores = blended(evidence, setting.blend, Taste(setting.half, setting.sells))
            found[setting][item] = [ids[row] for row in evidence.rows[best(evidence, scores, AT)].tolist()]
    return found


def _numbers(values: Sequence[str]) -> NDArray[np.int64]:
    """int64[n]: a number of each value, -1 for none."""
    numbers = {value: number for number, value in enumerate(sorted({*values} - {""}))}
    return np.array([numbers.get(value, -1) for value in values], np.int64)


def main() -> None:
    """Choose on a stack of its own, and write build/bench/similar-choice.json."""
    console = Console()
    with history(console, ["streams", "similarity"], days_before=DAYS_LIVE) as world:
        bench.until_made(world)
        figures = choose(world, console)
    out: Path = ROOT / "build" / "bench" / "similar-choice.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))
    console.print({name: figures[name] for name in ("prior", "half", "sells", "blend")})


if __name__ == "__main__":
    main()
