"""`make chaos`: the full size."""

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from deploy.stack.site import ROOT
from tests.chaos.plan import FULL, SHORT
from tests.chaos.run import Chaos, as_json


@click.command()
@click.option("--events", default=0, help="Distinct valid interactions; default 200,000.")
@click.option("--minutes", default=0.0, help="About how long to disturb; default: as long as the plan takes, about 10.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same plan and same traffic.")
@click.option("--short", is_flag=True, help="The size that every run of the tests goes through.")
@click.option(
    "--state", type=Path, default=ROOT / "build" / "chaos", show_default=True, help="Directory, emptied first."
)
def main(events: int, minutes: float, seed: int, short: bool, state: Path) -> None:
    """Kill everything again and again while events stream, then compare the whole store with what was published.

    Writes build/chaos.json; exits with 1 if anything differs.
    """
    console = Console() if sys.stdout.isatty() else Console(width=110)
    size = SHORT if short else FULL
    size = replace(size, events=events) if events else size
    size = size.scaled(minutes) if minutes else size
    shutil.rmtree(state, ignore_errors=True)
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.0f} s  {text}", markup=False, highlight=False, soft_wrap=True)

    report = Chaos(state.absolute(), size, seed, say).run()
    target = ROOT / "build" / "chaos.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(as_json(report))
    console.print(report.table())
    for text in (*report.problems, *report.examples):
        console.print(text, style="red", markup=False)
    console.print(f"Details: {target.relative_to(ROOT)}; logs: {state}")
    sys.exit(0 if report.good else 1)


if __name__ == "__main__":
    main()
