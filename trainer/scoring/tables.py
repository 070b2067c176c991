"""The tables of protocol B, one after the other, with a progress bar, into one JSON file.

The first is the one that counts: all columns, different customers learned from and asked. The others say how much of
it comes from the pair's own columns, which the thesis had not, and from what the shop bought in the label period.
"""

from __future__ import annotations

import json
import os
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

from tqdm import tqdm

from feature_repo.columns import Group
from feature_repo.shop import Shop
from trainer.scoring.benchmark import MODELS, benchmark
from trainer.scoring.dataset import Plan, dataset
from trainer.scoring.directory import read
from trainer.scoring.plan import QUICK, QUICK_CUSTOMERS, Effort

THESIS_GROUPS: tuple[Group, ...] = ("customer", "item")

ONCE = Effort(seeds=(1,))

PLANS = {
    "table": (Plan(), Effort()),
    "thesis_columns": (Plan(groups=THESIS_GROUPS), ONCE),
    "split_by_time": (Plan(parting="time"), ONCE),
}
"""By name in the file; ``table`` is at its top level, the others tell a difference that one seed shows."""


def compare(data: Path, shop: Shop, output: Path, quick: bool = False) -> dict[str, Any]:
    """Make the tables (with `quick` the first alone, of few customers and one seed) and write them.

    Raises NothingToLearnError or FileNotFoundError where the data does not do.
    """
    plans = {"table": (Plan(customers=QUICK_CUSTOMERS), QUICK)} if quick else PLANS
    inputs = read(data, shop)
    found: dict[str, Any] = {}
    steps = sum(len(effort.seeds) for _, effort in plans.values()) * len(MODELS)
    with tempfile.TemporaryDirectory() as place, tqdm(total=steps, desc="scoring", mininterval=1.0) as bar:
        numbers = count()
        for name, (plan, effort) in plans.items():
            made = dataset(inputs, plan, lambda: Path(place) / f"vocabularies-{next(numbers)}")

            def report(done: str, name: str = name) -> None:
                bar.set_postfix_str(f"{name}: {done}", refresh=False)
                bar.update()

            found[name] = benchmark(made, effort, report)
    top = {"protocol": "B", "shop": shop.name, "quick": quick, **found.pop("table"), **found}
    draft = output.with_name(f"{output.name}.{os.getpid()}")
    draft.write_text(json.dumps(top, indent=2) + "\n", encoding="utf-8")
    draft.replace(output)
    return top
