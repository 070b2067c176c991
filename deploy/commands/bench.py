"""Measure speeds on a stack of its own and write build/bench/NAME.json."""

from collections.abc import Callable
from typing import Any

import click
import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from deploy.stack.site import ROOT

OUT = ROOT / "build" / "bench"
Figures = dict[str, Any]


def latency(console: Console) -> Figures:
    """Request to reply over Kafka at 20 and 50 a second, and saturated."""
    from benchmarks import latency as bench
    from benchmarks.stage import shop

    with shop(console) as world:
        return bench.run(world.settings, world.customers[0])


def freshness(console: Console) -> Figures:
    """From producing an event to the first answer that had seen it."""
    from benchmarks import freshness as bench
    from benchmarks.stage import shop

    with shop(console) as world:
        items = next(world.source.chunks(world.cut))["item_id"].unique().to_pylist()[:500]
        found = bench.measure(world.settings, world.customers[0][:200], items, world.last_event_at // 1000, probes=200)
        p50, p99 = np.percentile(found, [50, 99])
        return {"p50_ms": float(p50), "p99_ms": float(p99), "probes": len(found)}


def ingest(console: Console) -> Figures:
    """Events a second through Kafka into the features, of a synthetic shop."""
    from itertools import chain, islice

    from benchmarks import ingest as bench
    from benchmarks.stage import empty

    with empty(console, "synthetic") as world:
        world.publish_catalogue()
        events = list(islice(chain.from_iterable(world.source.interactions()), 200_000))
        return bench.run(world.settings, world.streams_metrics, events)


def store(console: Console) -> Figures:
    """The online store's fast reader and writer against Feast's own."""
    from benchmarks import store as bench
    from benchmarks.stage import empty

    with empty(console, "complete_journey", ["redis"]) as world:
        return bench.run(world.settings.redis_url)


BENCHES: dict[str, Callable[[Console], Figures]] = {
    "latency": latency,
    "freshness": freshness,
    "ingest": ingest,
    "store": store,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)))
def command(names: tuple[str, ...]) -> None:
    """Run the benchmarks NAMES, all of them by default; the first run prepares a stack and takes minutes longer."""
    console = Console()
    OUT.mkdir(parents=True, exist_ok=True)
    for name in names or BENCHES:
        console.rule(f"[bold]{name}", align="left")
        console.print(f"[dim]{BENCHES[name].__doc__}[/]")
        figures = BENCHES[name](console)
        (OUT / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))
        console.print(_table(figures))


def _table(figures: Figures) -> Table:
    table = Table.grid(padding=(0, 3))
    for name, value in figures.items():
        table.add_row(
            name, ", ".join(f"{k} {_text(v)}" for k, v in value.items()) if isinstance(value, dict) else _text(value)
        )
    return table


def _text(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
