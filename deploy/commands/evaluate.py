"""Judge the answers of the running stack by protocol A, beside the baselines; or compare scoring models (B)."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from deploy.evaluation import pictures, ranking, scoring
from deploy.evaluation.visits import Beyond, next_visits
from feature_repo.shop import load_shop
from streams.settings import Settings
from streams.sources.open import EXAMPLES, open_source
from trainer.evaluation.protocol import default_cut, purchases_of

OUT = Path("build/evaluation")


@click.command("evaluate")
@click.option("--source", default="complete_journey", show_default=True, help=f"Where the truth is: {EXAMPLES}.")
@click.option(
    "--mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="For a file of one's own."
)
@click.option(
    "--cut", type=click.DateTime(), help="Last instant that was learned from, UTC. Default: 20 days before the end."
)
@click.option("--sooner", type=float, default=0.0, metavar="DAYS", help="The default cut, had the data ended sooner.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap over customers.")
@click.option("--baseline", "baselines", multiple=True, metavar="NAME", help="Beside which baseline; again for more.")
@click.option(
    "--dials",
    is_flag=True,
    help="Ask what diversity and novelty cost and what a context is worth, too: eleven times as many requests.",
)
@click.option("--scoring", "scorers", is_flag=True, help="Compare scoring models instead; needs no running stack.")
@click.option("--quick", is_flag=True, help="With --scoring: few customers and one seed, to see that it works.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path),
    help=f"Default: {OUT}/ranking.json, or scoring.json; pictures beside it.",
)  # fmt: skip
def command(
    source: str,
    mapping: Path | None,
    cut: Any,
    sooner: float,
    seed: int,
    baselines: tuple[str, ...],
    dials: bool,
    scorers: bool,
    quick: bool,
    output: Path | None,
) -> None:
    """Ask for the lists of every customer who bought something after the cut, judge them and print the table.

    The stack must have seen everything up to the cut and nothing after it: backfill to the cut, train, evaluate.
    All baselines together take a while; a few of them are named by --baseline.
    `make evaluate` does all of it on a stack of its own, for three cuts, and compares the scoring models, too.

    \b
    headwater evaluate --sooner 60
    headwater evaluate --scoring
    """
    console = Console(highlight=False)
    try:
        if scorers:
            _scoring(source, mapping, quick, output or OUT / "scoring.json", console)
        else:
            _ranking(source, mapping, cut, sooner, seed, baselines, dials, output or OUT / "ranking.json", console)
    except (ValueError, FileNotFoundError, LookupError, TimeoutError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None


def _ranking(
    source: str,
    mapping: Path | None,
    cut: Any,
    sooner: float,
    seed: int,
    baselines: tuple[str, ...],
    dials: bool,
    output: Path,
    console: Console,
) -> None:
    data, settings = open_source(source, mapping), Settings()
    interactions = data.interactions_table()
    purchases = purchases_of(interactions)
    at = default_cut(purchases, sooner) if cut is None else int(np.datetime64(cut, "us").astype(np.int64))
    category = ranking.categories(data, load_shop(settings.shop))
    beyond = Beyond(category, next_visits(interactions, at)) if dials else None
    with ranking.progress(console) as bars:
        found = ranking.judged(settings, purchases, at, seed, bars, baselines or None, beyond)
    result = {"source": source, **found}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    pictures.ranking(result, output.with_suffix(".png"))
    pictures.beyond(result, output.with_name("beyond.png"))
    console.print(ranking.table(result))
    console.print(f"{result['customers']:,} customers, {result['novel_customers']:,} bought something new; {output}")


def _scoring(source: str, mapping: Path | None, quick: bool, output: Path, console: Console) -> None:
    result = scoring.run(open_source(source, mapping), Settings().shop, output, quick)
    pictures.scoring(result, output.with_suffix(".png"))
    pictures.importances(result, output.with_name("importances.png"))
    console.print(scoring.table(result))
    console.print(f"{result['rows']['test']:,} pairs asked; {output}")
