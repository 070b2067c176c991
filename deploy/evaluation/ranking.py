"""Protocol A on a running stack: ask, judge beside the baselines, and show."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.evaluation import dials
from deploy.evaluation.visits import Beyond, worth
from feature_repo.shop import Shop
from serving.bundle import BundleError, directory_name, open_bundle
from serving.client import RecommendationClient
from streams.contracts.events import instant
from streams.contracts.requests import RecommendationRequest
from streams.settings import Settings
from streams.sources.source import Source
from trainer.evaluation.baselines import BASELINES
from trainer.evaluation.cold_start import by_history, new_items
from trainer.evaluation.protocol import Purchases, split
from trainer.evaluation.ranking import Contender, baseline_lists, report, score
from trainer.evaluation.reliability import reliability
from trainer.evaluation.served import Client, LeakageError, Received, Served, ask

SHOWN = ("ndcg_at_10", "map_at_12", "hit_at_10", "coverage_at_10", "novel_ndcg_at_10", "novel_map_at_12")


def judged(
    settings: Settings,
    purchases: Purchases,
    cut: int,
    seed: int,
    bars: Progress,
    names: Sequence[str] | None = None,
    beyond: Beyond | None = None,
) -> dict[str, Any]:
    """Ask the running stack for every customer's lists at a cut and judge them beside the baselines.

    The stack must have seen everything up to the cut and nothing after it.

    Parameters
    ----------
    cut
        Microseconds since the epoch.
    seed
        Of the bootstrap over customers.
    bars
        Show how far it is.
    names
        Of the baselines; None: all.
    beyond
        What the dials cost and what a context is worth are asked as well then; see `deploy.evaluation.dials`, `visits`.

    Raises
    ------
    ValueError
        When the cut is outside the data.
    LeakageError
        When the stack has seen, or its model has learned from, anything after the cut.
    """
    parts, category = split(purchases, cut), beyond.category if beyond else None
    when = f"{instant(cut):%Y-%m-%d %H:%M}"
    asking = bars.add_task(f"lists at {when}", total=len(parts.truth) + len(parts.novel_truth))
    with RecommendationClient(settings) as connection:
        client = _Watched(connection, lambda: bars.advance(asking))
        everything = ask(client, sorted(parts.truth), parts.cut, novel=False)
        novel = ask(client, sorted(parts.novel_truth), parts.cut, novel=True)
        turned = dials.prices(connection, parts, everything.lists, category, seed) if category else None
        visited = worth(connection, parts, beyond.visits, seed) if beyond else None
    check_window(settings, everything.versions | novel.versions, cut)
    making = bars.add_task("baselines", total=len(BASELINES) if names is None else len(names))

    def made(name: str, seconds: float) -> None:
        bars.console.print(f"  [dim]{name}: {seconds:.1f} s[/]")
        bars.advance(making)

    contenders = baseline_lists(parts, names, made)
    judging = bars.add_task("judging", total=len(contenders) + 1)
    served = score(Contender(everything.lists, novel.lists), parts, seed, category)
    others = {}
    for name, contender in contenders.items():
        bars.advance(judging)
        others[name] = score(contender, parts, seed, category)
    bars.advance(judging)
    return {
        **report(parts, served, others, seed),
        "answers": _answers(everything, novel),
        "calibration": reliability(everything.lists, everything.scores, parts.truth),
        "by_history": by_history(parts, served, others),
        "new_items": new_items(parts, novel.lists),
        "dials": turned,
        "context": visited,
    }


class _Watched:
    """A client that tells of every answer."""

    def __init__(self, client: Client, told: Callable[[], None]) -> None:
        self._client, self._told = client, told

    def recommend_many(self, requests: Iterable[RecommendationRequest], concurrency: int = 32) -> Iterator[Received]:
        """Ask for many at a time."""
        for received in self._client.recommend_many(requests, concurrency=concurrency):
            self._told()
            yield received


def progress(console: Console) -> Progress:
    """Return the bars that `judged` wants, to be entered around it."""
    columns = (TextColumn("  {task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def check_window(settings: Settings, versions: set[int], cut: int) -> None:
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


def table(result: Mapping[str, Any]) -> Table:
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


def categories(source: Source, shop: Shop) -> dict[str, str]:
    """Return the category of each item of a source, none in a shop without."""
    if not shop.category:
        return {}
    return {item.item_id: item.attributes.get(shop.category, "") for item in source.items()}


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
