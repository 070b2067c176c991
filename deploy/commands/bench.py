"""Measure speeds on a stack of its own and write build/bench/NAME.json."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from deploy.stack.site import ROOT

OUT = ROOT / "build" / "bench"
Figures = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line: how long `ingest` takes, and at how many events a second."""

    minutes: float
    rate: float


def latency(console: Console, asked: Asked) -> Figures:
    """Request to reply over Kafka at 20 and 50 a second, and saturated; with the most candidates, and as served."""
    from benchmarks import latency as bench
    from benchmarks.stage import shop
    from serving.candidates import LIMITS, SCORED

    def measured(candidates: int) -> Figures:
        console.print(f"  [dim]up to {candidates} candidates scored for each request[/]")
        with shop(console, given={"HEADWATER_CANDIDATES": str(candidates)}) as world:
            return {"candidates": candidates, **bench.run(world.settings, world.customers[0])}

    return {**measured(LIMITS.total), "as_served": measured(SCORED)}


def freshness(console: Console, asked: Asked) -> Figures:
    """From producing an event to the first answer that had seen it, at 1,000 other events a second."""
    from benchmarks import freshness as bench
    from benchmarks.stage import shop

    with shop(console) as world:
        return bench.run(world)


def ingest(console: Console, asked: Asked) -> Figures:
    """Events a second through a whole stack, checked against SQL, beside a Faust table and Feast's push."""
    from benchmarks import ingest as bench
    from benchmarks.stage import empty

    plan = bench.Plan(rate=asked.rate, seconds=60 * asked.minutes)
    with empty(console, "synthetic", ["streams", "serving"], plan.source) as world:
        figures = bench.run(world, plan, lambda text: console.print(f"  [dim]{text}[/]"))
    console.print(bench.table(figures))
    return figures


def store(console: Console, asked: Asked) -> Figures:
    """The online store's fast reader and writer against Feast's own."""
    from benchmarks import store as bench
    from benchmarks.stage import empty

    with empty(console, "complete_journey", ["redis"]) as world:
        return bench.run(world.settings.redis_url)


def recovery(console: Console, asked: Asked) -> Figures:
    """A worker or Redis killed at 5,000 events a second: how long until events are applied, until the lag is gone."""
    from benchmarks import recovery as bench
    from benchmarks.stage import empty

    with empty(console, "synthetic", ["streams"], bench.SOURCE) as world:
        return bench.run(world, say=lambda text: console.print(f"  [dim]{text}[/]"))


def rest(console: Console, asked: Asked) -> Figures:
    """Over HTTP: recommendations at 50 a second and saturated, interactions in bulk, 10,000 bad requests."""
    from benchmarks import rest as bench
    from benchmarks.stage import ANSWERING, shop

    with shop(console, parts=[*ANSWERING, "gateway"]) as world:
        return bench.run(world, lambda text: console.print(f"  [dim]{text}[/]"))


def similar(console: Console, asked: Asked) -> Figures:
    """Similar items inside a process and over HTTP, beside the thesis's; and what they are worth on real baskets."""
    from benchmarks import similar as bench
    from benchmarks.similar_stage import history

    with history(console, ["streams", "gateway", "similarity"]) as world:
        return bench.run(world, lambda text: console.print(f"  [dim]{text}[/]"))


def batch(console: Console, asked: Asked) -> Figures:
    """Lists for everybody in bulk, on a shop of H&M's catalogue size: customers a second, and memory."""
    from benchmarks import batch as bench

    with bench.stage(console) as world:
        return bench.run(world, lambda text: console.print(f"  [dim]{text}[/]"))


BENCHES: dict[str, Callable[[Console, Asked], Figures]] = {
    "latency": latency,
    "freshness": freshness,
    "ingest": ingest,
    "recovery": recovery,
    "rest": rest,
    "similar": similar,
    "store": store,
    "batch": batch,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)))
@click.option(
    "--minutes",
    type=float,
    default=5.0,
    show_default=True,
    envvar="HEADWATER_BENCH_MINUTES",
    help="How long ingest sends events.",
)
@click.option(
    "--rate",
    type=float,
    default=10_100.0,
    show_default=True,
    envvar="HEADWATER_BENCH_RATE",
    help="Events a second that ingest sends.",
)
def command(names: tuple[str, ...], minutes: float, rate: float) -> None:
    """Run the benchmarks NAMES, all of them by default; the first run prepares a stack and takes minutes longer."""
    console, asked = Console(), Asked(minutes, rate)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in names or BENCHES:
        console.rule(f"[bold]{name}", align="left")
        console.print(f"[dim]{BENCHES[name].__doc__}[/]")
        figures = BENCHES[name](console, asked)
        (OUT / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))
        console.print(_table(figures))


def _table(figures: Figures) -> Table:
    table = Table.grid(padding=(0, 3))
    for name, value in figures.items():
        if isinstance(value, list):  # a course over time is for a machine to read
            continue
        table.add_row(
            name, ", ".join(f"{k} {_text(v)}" for k, v in value.items()) if isinstance(value, dict) else _text(value)
        )
    return table


def _text(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
