"""The demo's stack and data: where they are, and what every step of the demo asks of them."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from rich.console import Console

from deploy.stack.site import ROOT, Site
from deploy.stack.stack import Stack
from feature_repo.shop import Shop, load_shop
from serving.client import RecommendationClient
from streams import offline
from streams.contracts.compacted import CompactedTable, Record
from streams.contracts.topics import Topic
from streams.settings import Settings
from streams.sources.open import open_source
from streams.sources.source import Source

DAY = 86_400_000_000
DAYS_LIVE = 20
"""Days that are replayed live: protocol A's."""


@dataclass
class World:
    """A stack of the demo's own, in a directory of its own, and the data that flows through it."""

    site: Site
    console: Console
    source_name: str

    @classmethod
    def of(cls, state: Path, source: str, console: Console, train_every: int, shop: str | None = None) -> "World":
        """Return a world in an empty directory; what was there is removed."""
        Stack(
            cls.at(state, source, console, train_every, shop).site, say=console.print
        ).down()  # of a run that was killed
        shutil.rmtree(state, ignore_errors=True)
        return cls.at(state, source, console, train_every, shop)

    @classmethod
    def at(
        cls,
        state: Path,
        source: str,
        console: Console,
        train_every: int,
        shop: str | None = None,
        given: Mapping[str, str] | None = None,
    ) -> "World":
        """Return a world in a directory as it is; `given` is added to the environment of its parts."""
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HEADWATER_TOPIC",))},
            "HEADWATER_STATE": str(state),
            "HEADWATER_CLOCK": "stream",
            "HEADWATER_SHOP": shop or os.environ.get("HEADWATER_SHOP", "complete_journey"),
            "HEADWATER_TRAIN_EVERY_INTERACTIONS": str(train_every),
            "HEADWATER_TRAIN_EVERY_SECONDS": "86400",
            "HEADWATER_TRITON_TIMEOUT_MS": "5000",  # while training takes both cores, wait for an answer
            **(given or {}),
        }
        return cls(Site.of(environ), console, source)

    @cached_property
    def stack(self) -> Stack:
        """The parts."""
        return Stack(self.site, say=lambda text: self.console.print(f"  [dim]{text}[/]"))

    @cached_property
    def environment(self) -> dict[str, str]:
        """What every command of the demo runs with; complete once the stack is up."""
        return {**self.site.given, **self.site.environment()}

    @cached_property
    def settings(self) -> Settings:
        """The same as settings; this process' own environment stays as it is, for it may see more than one world."""
        return Settings(
            kafka_bootstrap_servers=self.environment["KAFKA_BOOTSTRAP_SERVERS"],
            redis_url=self.environment["REDIS_URL"],
            triton_url=self.environment["HEADWATER_TRITON_URL"],
            state=self.site.state,
            shop=self.environment["HEADWATER_SHOP"],
            clock="stream",
        )

    @cached_property
    def shop(self) -> Shop:
        """The shop's profile."""
        return load_shop(self.environment["HEADWATER_SHOP"])

    @cached_property
    def source(self) -> Source:
        """The data."""
        return open_source(self.source_name)

    @cached_property
    def last_event_at(self) -> int:
        """The newest event's time, microseconds since the epoch."""
        return max(int(chunk["time"][-1].as_py()) for chunk in self.source.chunks())

    @property
    def cut(self) -> int:
        """Protocol A's cut, microseconds since the epoch."""
        return self.last_event_at - DAYS_LIVE * DAY

    @property
    def streams_metrics(self) -> str:
        """Where the stream worker's metrics are."""
        return self.site.address("streams-metrics")

    def headwater(self, *arguments: str) -> None:
        """Run a command as a person would, with its output.

        Raises
        ------
        subprocess.CalledProcessError
            When it fails.
        """
        self.console.print(f"[cyan]$ headwater {' '.join(arguments)}[/]")
        command = [str(self.site.python), "-m", "deploy.cli", *arguments]
        environment = {**self.environment, "COLUMNS": str(self.console.width)}
        subprocess.run(command, env=environment, cwd=ROOT, check=True)

    def publish_catalogue(self) -> None:
        """Send items and customers through their topics."""
        self.headwater("replay", "--source", self.source_name, "--what", "items,customers")

    def backfill(self) -> None:
        """Write the history up to the cut in bulk."""
        until = np.datetime64(self.cut + 1, "us").item().isoformat() + "Z"
        self.headwater("backfill", "--source", self.source_name, "--until", until)

    def train(self, timeout_s: float = 1200.0) -> None:
        """Train the first model and wait until it answers.

        Raises
        ------
        TimeoutError
            When it does not in time.
        """
        self.headwater("train", "--mode", "full")
        deadline = time.monotonic() + timeout_s
        with RecommendationClient(self.settings) as client:
            while client.recommend(self.customers[0][0], deadline_ms=10_000).model_version is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the first model is not live after {timeout_s:.0f} s; see {self.site.logs}")
                time.sleep(0.2)

    def prepare(self) -> None:
        """Do what is not done yet of: catalogue, history, first model."""
        if not offline.commits(self.site.state / "offline"):
            self.publish_catalogue()
            self.backfill()
        if not any((self.site.state / "bundles").glob("v*")):
            self.train()

    @cached_property
    def customers(self) -> tuple[list[str], list[int]]:
        """Customers of the offline store, and how many interactions each has."""
        counts = pc.value_counts(offline.interactions(self.site.state / "offline")["customer_id"])
        return counts.field("values").to_pylist(), counts.field("counts").to_pylist()

    def records(self, topic: Topic) -> list[Record]:
        """Return everything that is in a topic now."""
        table = CompactedTable(topic.name, self.settings.kafka_config())
        try:
            return list(table.load())
        finally:
            table.close()
