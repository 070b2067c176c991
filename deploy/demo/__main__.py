"""Run the demo: `python -m deploy.demo`, or `make demo`."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import pyarrow.compute as pc
from rich.console import Console

from benchmarks import freshness, latency
from deploy.demo import live, parity, story
from deploy.demo.ranking import at_the_cut
from deploy.demo.report import Freshness, Report, Requests, Story, Training, show
from deploy.demo.world import World
from deploy.stack.addresses import addresses
from deploy.stack.site import ROOT

WIDTH = 120
"""Columns of the output where it goes to no terminal."""


class Demo:
    """The steps, in order; each fills in its part of the report."""

    def __init__(self, world: World, malformed: int, requests_per_second: float) -> None:
        self.world, self.malformed, self.rate = world, malformed, requests_per_second
        self.report = Report()
        self.customers: list[str] = []
        self.purchases: list[int] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say what happens, and keep how long it took."""
        self.world.console.rule(f"[bold]{name}", align="left")
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.report.seconds[name] = round(seconds, 1)
        self.world.console.print(f"  [green]{name}: {seconds:.1f} s[/]")

    def run(self) -> Report:
        """Run every step; the stack is left running, for the caller to stop."""
        with self.step("start"):
            self.world.stack.up()
        with self.step("history"):
            self._history()
        with self.step("first model"):
            self._first_model()
        with self.step("ranking at the cut"):
            self.report.ranking = at_the_cut(self.world)
        with self.step("live"):
            self._live()
        with self.step("quiet requests"):
            tally = latency.steady(self.world.settings, self.customers, self.rate, 15.0)
            self.report.requests.quiet_p50_ms = tally.percentile(50)
            self.report.requests.quiet_p99_ms = tally.percentile(99)
        with self.step("freshness"):
            self._freshness()
        with self.step("a customer's story"):
            self.report.story = self._story()
        with self.step("features against SQL"):
            self._parity()
        return self.report

    def _history(self) -> None:
        self.world.publish_catalogue()
        self.world.backfill()
        self.customers, self.purchases = self.world.customers
        self.report.events.history = sum(self.purchases)

    def _first_model(self) -> None:
        start = time.perf_counter()
        self.world.train()
        self.report.training.first_model_s = round(time.perf_counter() - start, 1)

    def _live(self) -> None:
        result = live.replay_live(self.world, self.customers, self.malformed, self.rate)
        live.await_offline(self.world, result.replayed.sent["interactions"])
        report, tally = self.report, result.tally
        report.events.live = result.replayed.sent["interactions"]
        report.events.per_second = round(result.per_second, 1)
        report.events.dead_lettered = len(self.world.records(self.world.settings.topics.dead_letters))
        report.requests = Requests(
            sent=tally.sent, answered=tally.answered, failed=tally.failed, fallback=tally.fallbacks,
            p50_ms=tally.percentile(50), p99_ms=tally.percentile(99),
        )  # fmt: skip
        report.training = self._training(result.first_answers)

    def _training(self, first_answers: dict[int, float]) -> Training:
        triggers, bundles = live.triggers(self.world), live.announcements(self.world)
        versions = sorted({*first_answers, *(bundle.version for bundle in bundles)})
        newest = next((b for b in reversed(bundles) if b.version in first_answers and b.trigger_id in triggers), None)
        seconds = None
        if newest is not None and newest.trigger_id is not None:
            seconds = round(first_answers[newest.version] - triggers[newest.trigger_id].created_at / 1000, 1)
        return Training(
            triggers=len(triggers), versions=versions, trigger_to_live_s=seconds,
            first_model_s=self.report.training.first_model_s,
        )  # fmt: skip

    def _freshness(self) -> None:
        world = self.world
        items = pc.unique(next(world.source.chunks(world.cut))["item_id"]).to_pylist()[:500]
        milliseconds = freshness.measure(
            world.settings, self.customers[:200], items, world.last_event_at // 1000 + 1000, probes=100
        )
        p50, p99 = np.percentile(milliseconds, [50, 99])
        self.report.freshness = Freshness(p50_ms=float(p50), p99_ms=float(p99), events=len(milliseconds))
        self.report.events.live += len(milliseconds)

    def _story(self) -> Story:
        customer = story.typical(self.customers, self.purchases)
        told = story.tell(self.world, customer, self.world.last_event_at // 1000 + 60_000)
        self.report.events.live += len(told.bought)
        return told

    def _parity(self) -> None:
        live.await_offline(self.world, self.report.events.live)
        self.report.features = parity.check(self.world)


@click.command()
@click.option(
    "--state", type=Path, default=ROOT / "build" / "demo", show_default=True, help="Directory, emptied first."
)
@click.option("--source", default="complete_journey", show_default=True, help="Data source.")
@click.option("--malformed", default=200, show_default=True, help="Malformed records among the live ones.")
@click.option("--rate", default=20.0, show_default=True, help="Requests a second while events stream.")
@click.option("--train-every", default=40_000, show_default=True, help="New interactions that trigger training.")
@click.option("--stay", is_flag=True, help="Leave everything running at the end, with the storefront open.")
def main(state: Path, source: str, malformed: int, rate: float, train_every: int, stay: bool) -> None:
    """Start everything, stream a shop's year through it, and report what came of it in build/demo.json."""
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    world = World.of(state, source, console, train_every)
    demo = Demo(world, malformed, rate)
    try:
        report = demo.run()
        people_go = list(addresses(world.site, [part.name for part in world.stack.status() if part.pid]))
    except BaseException:
        stay = False
        raise
    finally:
        demo.report.write(ROOT / "build" / "demo.json")
        if not stay:
            world.stack.down()
    show(report, console)
    console.print(f"written to {ROOT / 'build' / 'demo.json'}")
    problems = report.problems()
    for problem in problems:
        console.print(f"[red]fell short: {problem}[/]")
    _invite(world, people_go, stay)
    sys.exit(1 if problems else 0)


def _invite(world: World, people_go: Iterable[str], stay: bool) -> None:
    """Say where the shop is that has just been streamed, and how to open or close it."""
    for line in people_go:
        world.console.print(line, markup=False, highlight=False)
    where = f"HEADWATER_STATE={os.path.relpath(world.site.state)}"
    how = f"to stop it all: {where} make down" if stay else f"to open it: {where} HEADWATER_CLOCK=stream make up"
    world.console.print(f"[dim]{how}[/]", highlight=False)


if __name__ == "__main__":
    main()
