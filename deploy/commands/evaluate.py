"""Judge the answers of the running stack by protocol A, beside the baselines."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from serving.bundle import BundleError, directory_name, open_bundle
from serving.client import RecommendationClient
from streams.contracts.events import instant
from streams.settings import Settings
from streams.sources.open import EXAMPLES, open_source
from trainer.evaluation.protocol import Split, default_cut, purchases_of, split
from trainer.evaluation.ranking import Contender, baseline_lists, report, score
from trainer.evaluation.served import LeakageError, Served, ask

SHOWN = ("ndcg_at_10", "map_at_12", "hit_at_10", "coverage_at_10", "novel_ndcg_at_10", "novel_map_at_12")


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
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("build/evaluation/ranking.json"),
    show_default=True,
)  # fmt: skip
def command(source: str, mapping: Path | None, cut: Any, sooner: float, seed: int, output: Path) -> None:
    """Ask for the lists of every customer who bought something after the cut, judge them and print the table.

    The stack must have seen everything up to the cut and nothing after it: backfill to the cut, train, evaluate.
    """
    settings = Settings()
    console = Console(highlight=False)
    try:
        purchases = purchases_of(open_source(source, mapping).interactions_table())
        at = default_cut(purchases, sooner) if cut is None else int(np.datetime64(cut, "us").astype(np.int64))
        parts = split(purchases, at)
        with console.status(f"asking for {len(parts.truth):,} customers at {instant(at):%Y-%m-%d %H:%M}"):
            everything, novel = _served(settings, parts)
        _check_window(settings, everything.versions | novel.versions, at)
    except (ValueError, FileNotFoundError, LookupError, TimeoutError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    served = score(Contender(everything.lists, novel.lists), parts, seed)
    others = {name: score(contender, parts, seed) for name, contender in baseline_lists(parts).items()}
    result = {"source": source, **report(parts, served, others, seed), "answers": _answers(everything, novel)}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console.print(table(result))
    console.print(f"{len(parts.truth):,} customers, {len(parts.novel_truth):,} of them bought something new; {output}")


def table(result: dict[str, Any]) -> Table:
    """A row for the served lists and for each baseline; a star where the served lists are above it for sure."""
    shown = Table(
        "",
        *SHOWN,
        box=None,
        pad_edge=False,
        title="95% intervals; * served is above, the interval of the difference excludes 0",
    )
    for name, figures in {"served": result["served"], **result["baselines"]}.items():
        above = result["served_minus"].get(name, {})
        cells = []
        for metric in SHOWN:
            star = "*" if above.get(metric, {}).get("low", 0.0) > 0 else " "
            low, high = figures.get(f"{metric}_interval", (np.nan, np.nan))
            cells.append(f"{figures.get(metric, np.nan):.4f}{star} [dim]{low:.4f}–{high:.4f}[/]")
        shown.add_row(f"[bold]{name}[/]" if name == "served" else name, *cells)
    return shown


def _served(settings: Settings, parts: Split) -> tuple[Served, Served]:
    with RecommendationClient(settings) as client:
        everything = ask(client, sorted(parts.truth), parts.cut, novel=False)
        return everything, ask(client, sorted(parts.novel_truth), parts.cut, novel=True)


def _check_window(settings: Settings, versions: set[int], cut: int) -> None:
    """Refuse answers of a model that has learned from what it is asked to foretell."""
    for version in sorted(versions):
        path = settings.state / "bundles" / directory_name(version)
        try:
            window = open_bundle(path).manifest.data_window
        except (BundleError, OSError) as error:
            raise RuntimeError(f"what model {version} has learned from cannot be read: {error}") from error
        if window.until_at > cut + 1:
            raise LeakageError(
                f"model {version} has learned from events until {instant(window.until_at)}, "
                f"after the cut {instant(cut)}"
            )


def _answers(everything: Served, novel: Served) -> dict[str, Any]:
    milliseconds = np.array(everything.milliseconds + novel.milliseconds)
    return {
        "count": len(milliseconds),
        "fallback": everything.fallbacks.total() + novel.fallbacks.total(),
        "fallback_reasons": dict(everything.fallbacks + novel.fallbacks),
        "model_versions": sorted(everything.versions | novel.versions),
        "p50_ms": float(np.percentile(milliseconds, 50)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
    }
