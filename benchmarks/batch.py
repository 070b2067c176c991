"""Lists for everybody in bulk: customers a second and memory, on a synthetic shop of H&M's catalogue size.

The customers are fewer than H&M's 1.4 million, each with as many purchases as one of theirs has on average: what a list
costs does not depend on how many there are, so the rate of some ten thousand is the rate of all. The minutes for 1.4
million follow from it, with what is loaded once.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import psutil
from rich.console import Console

from benchmarks.stage import NEVER, STATE
from deploy.commands.batch import Done
from deploy.demo.world import World
from deploy.stack.site import ROOT
from feature_repo.redis_commands import connect
from streams import offline

Say = Callable[[str], None]

SOURCE = "synthetic:events=2400000,customers=24000,items=105000,categories=130,segments=24,days=730,skew=1.4"
"""H&M's: 105,542 articles of 131 types, 23 purchases a customer over two years; of these events 22 in 100 are some."""

HM_CUSTOMERS = 1_400_000
CANDIDATES = (100, 500)
"""The fewest that are asked of a bulk run, and what is scored online."""
SAMPLE_S = 0.5
THESIS_S = 11 * 86_400


@contextmanager
def stage(console: Console) -> Iterator[World]:
    """Give Kafka and Redis with the shop and its first model in them; nothing else runs."""
    world = World.at(STATE / "batch", SOURCE, console, train_every=NEVER, shop="synthetic")
    try:
        if not any((world.site.state / "bundles").glob("v*")):
            world.stack.up(["streams"])
            if not offline.commits(world.site.state / "offline"):
                world.publish_catalogue()
                world.headwater("backfill", "--source", SOURCE)
            world.headwater("train", "--local", "--mode", "full")
            world.stack.down()
        world.stack.up(["kafka", "redis"])
        yield world
    finally:
        world.stack.down()


def run(world: World, say: Say = lambda _: None) -> dict[str, Any]:
    """Make everybody's lists with the fewest and with all candidates; returns the figures."""
    figures: dict[str, Any] = {"processors": os.cpu_count(), "load_before": os.getloadavg()[0]}
    for candidates in CANDIDATES:
        say(f"12 items for everybody, up to {candidates} candidates each")
        done, peak_mb = measured(world, candidates)
        figures |= {"items": done.items, "customers": done.run.customers}
        rate = done.made / done.making_s
        figures[f"candidates_{candidates}"] = {
            "customers_per_s": rate,
            "loading_s": done.loading_s,
            "making_s": done.making_s,
            "processor_ms_each": 1000 * done.processor_s / done.made,
            "peak_mb": peak_mb,
            "minutes_for_1400000": (HM_CUSTOMERS / rate + done.loading_s) / 60,
            "thesis_by_it": THESIS_S / (HM_CUSTOMERS / rate + done.loading_s),
        }
    memory: Any = connect(world.settings.redis_url).info("memory")
    figures["redis_mb"] = memory["used_memory"] / 2**20
    return figures


def measured(world: World, candidates: int) -> tuple[Done, float]:
    """Run the command once; what it told, and the most memory that it and its workers held at a time, MiB.

    Pages that processes share count once.
    """
    with tempfile.TemporaryDirectory() as directory:
        command = [
            str(world.site.python), "-m", "deploy.cli", "batch", "--json",
            "--output", directory, "--candidates", str(candidates),
        ]  # fmt: skip
        with subprocess.Popen(command, env=world.environment, cwd=ROOT, stdout=subprocess.PIPE) as process:
            peak = 0.0
            while process.poll() is None:
                peak = max(peak, _memory_mb(psutil.Process(process.pid)))
                time.sleep(SAMPLE_S)
            told = process.stdout.read() if process.stdout else b""
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return msgspec.json.decode(told, type=Done), peak


def _memory_mb(process: psutil.Process) -> float:
    found = 0.0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            found += each.memory_full_info().pss / 2**20
    return found
