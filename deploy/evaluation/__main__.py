"""The whole evaluation on stacks of its own: `python -m deploy.evaluation`, or `make evaluate`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
from rich.console import Console

from deploy.evaluation import markdown, pictures, ranking, scoring
from deploy.evaluation.stage import at_cut
from deploy.evaluation.visits import Beyond, next_visits
from deploy.stack.site import ROOT
from streams.sources.open import EXAMPLES, open_source
from trainer.evaluation.baselines import QUICK
from trainer.evaluation.protocol import default_cut, purchases_of, split
from trainer.evaluation.served import LeakageError

CUTS = (0.0, 60.0, 100.0)
"""Days by which the data ends sooner: the protocol's cut, and two to check that it is no lucky one."""

WIDTH = 140


class Evaluation:
    """What is judged, and where its figures go."""

    def __init__(self, source: str, shop: str, seed: int, out: Path, console: Console) -> None:
        self.source, self.shop, self.seed, self.out, self.console = source, shop, seed, out, console
        self.seconds: dict[str, float] = {}
        self.tables: dict[str, str] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say what happens, and keep how long it took."""
        self.console.rule(f"[bold]{name}", align="left")
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)
        self.console.print(f"  [green]{name}: {self.seconds[name]:.1f} s[/]")

    def rank(self, cuts: tuple[float, ...], quick: bool, at: int | None = None) -> dict[str, Any]:
        """Judge the served lists at each cut, the first one at the top level of the result, and write it each time.

        cuts: days by which the data ends sooner; at: one instant instead, microseconds since the epoch.
        """
        interactions = open_source(self.source).interactions_table()
        result: dict[str, Any] = {}
        for sooner in cuts if at is None else (0.0,):
            name = "ranking" if not sooner else f"ranking, data ending {sooner:g} days sooner"
            with self.step(name):
                found = self._at(interactions, sooner, at, quick)
            if not result:
                result = {"source": self.source, "commit": commit(), "quick": quick, **found, "sooner": {}}
            else:
                result["sooner"][f"{sooner:g}"] = found
            result["seconds"] = self.seconds
            self._write("ranking.json", result)
            pictures.ranking(found, self.out / ("ranking.png" if not sooner else f"ranking-{sooner:g}.png"))
            pictures.beyond(found, self.out / ("beyond.png" if not sooner else f"beyond-{sooner:g}.png"))
            self._tell(f"At {found['cut']}", markdown.ranking(found))
            self._tell(f"Beyond accuracy at {found['cut']}", markdown.beyond(found))
            self.console.print(ranking.table(found))
        return result

    def score(self, quick: bool) -> None:
        """Compare the scoring models."""
        with self.step("scoring"):
            found = scoring.run(open_source(self.source), self.shop, self.out / "scoring.json", quick)
        self._write("scoring.json", {"commit": commit(), **found})
        pictures.scoring(found, self.out / "scoring.png")
        pictures.importances(found, self.out / "importances.png")
        for name in ("thesis_columns", "split_by_time"):
            if name in found:
                self._tell(f"Scoring models, {name}", markdown.scoring(found[name]))
        self._tell("Scoring models", markdown.scoring(found))
        self.console.print(scoring.table(found))

    def _at(self, interactions: pa.Table, sooner: float, at: int | None, quick: bool) -> dict[str, Any]:
        purchases = purchases_of(interactions)
        cut = default_cut(purchases, sooner) if at is None else at
        split(purchases, cut)  # refuses a cut outside the data, before a stack is made for it
        names = QUICK if quick else None
        with at_cut(self.console, self.source, cut, shop=self.shop) as world, ranking.progress(self.console) as bars:
            beyond = Beyond(ranking.categories(world.source, world.shop), next_visits(interactions, cut))
            return ranking.judged(world.settings, purchases, cut, self.seed, bars, names, beyond)

    def _tell(self, title: str, table: str) -> None:
        """Add a table to `tables.md`, which is written anew with each."""
        self.tables[title] = table
        text = "\n".join(f"## {name}\n\n{each}" for name, each in self.tables.items())
        (self.out / "tables.md").write_text(f"Commit {commit()}\n\n{text}", encoding="utf-8")

    def _write(self, name: str, result: dict[str, Any]) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        draft = self.out / f".{name}.{os.getpid()}"
        draft.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        draft.replace(self.out / name)


def commit() -> str | None:
    """Return which commit this is, with `+` where files differ from it; None outside a repository."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=10"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None


@click.command()
@click.option("--source", default="complete_journey", show_default=True, help=f"Where the truth is: {EXAMPLES}.")
@click.option("--shop", default="complete_journey", envvar="HEADWATER_SHOP", show_default=True, help="Shop profile.")
@click.option("--quick", is_flag=True, help="The protocol's cut, quick baselines and a small comparison of scorers.")
@click.option("--cut", type=click.DateTime(), help="Judge lists at this instant alone, UTC.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap over customers.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=ROOT / "build" / "evaluation")
def main(source: str, shop: str, quick: bool, cut: Any, seed: int, out: Path) -> None:
    """Judge what is served at three cuts beside every baseline, then compare the scoring models."""
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=WIDTH, highlight=False)
    evaluation = Evaluation(source, shop, seed, out, console)
    try:
        at = None if cut is None else int(np.datetime64(cut, "us").astype(np.int64))
        evaluation.rank(CUTS[:1] if quick else CUTS, quick, at)
        evaluation.score(quick)
    except (ValueError, FileNotFoundError, TimeoutError, LeakageError, subprocess.CalledProcessError) as error:
        raise click.ClickException(str(error)) from error
    console.print(f"written to {out}: {', '.join(sorted(path.name for path in out.glob('*.[jp]*')))}")


if __name__ == "__main__":
    main()
