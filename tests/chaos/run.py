"""Going through the plan: everything is started, disturbed, left to recover, and in the end read and compared."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from streams import offline
from streams.create_topics import create_topics
from streams.ingest.steps import ERASURE
from streams.settings import Settings
from tests.chaos import traffic
from tests.chaos.disturb import Disturbances
from tests.chaos.fleet import Fleet, environment
from tests.chaos.plan import FAILPOINTS, OFFLINE_FAILPOINTS, Round, Size, rounds
from tests.chaos.producer import Publishing
from tests.chaos.progress import Progress
from tests.chaos.report import Report
from tests.chaos.servers import RewindableRedis, Server
from tests.chaos.truth import Truth
from tests.chaos.verify import Verification, records_applied, verify

RECOVER_S = 120.0
"""Longer than this a recovery must not take, whatever happened."""

_ROUND_S = 7.0
"""About how long a round takes; the traffic is paced by it."""


@dataclass
class Chaos:
    """One run.

    Parameters
    ----------
    state: directory of its own, empty.
    say: is told what happens, in a line.
    """

    state: Path
    size: Size
    seed: int
    say: Callable[[str], None]
    problems: list[str] = field(default_factory=list)

    def run(self) -> Report:
        """Go through everything and return what came of it."""
        began = time.monotonic()
        with Server("kafka", self.state / "broker") as kafka, RewindableRedis(self.state / "online") as online:
            self.kafka, self.redis = kafka, online
            settings = self._settings()
            create_topics(settings.topics.all(), settings.kafka_config())
            partitions = settings.topics.interactions.partitions
            self.traffic = traffic.made(self.size, self.seed, partitions)
            self.say(f"{len(self.traffic.records):,} interactions made; seed {self.seed}")
            self.plan = rounds(self.size, self.seed)
            self._through, self._round_began = 0.0, time.monotonic()
            publishing = self.publishing = Publishing(settings, self.traffic, self._allowed)
            self.progress = Progress(settings.redis_url, partitions, publishing.ends)
            publishing.publish_records()
            with Fleet(environment(settings), self.state / "fleet", self.seed) as fleet:
                self.fleet = fleet
                self.harm = Disturbances(
                    kafka, online, fleet, self.progress, publishing, list(self.traffic.gone), problems=self.problems
                )
                fleet.scale(2)
                publishing.start()
                disturbed = time.monotonic()
                self._disturb()
                self.harm.erase_the_rest()
                publishing.finish()
                disturbed = time.monotonic() - disturbed
                truth = Truth.of(settings, self.traffic)
                self._await_end(settings, truth)
                fleet.leave()
                found = verify(settings, self.traffic, truth)
                return self._report(found, truth, time.monotonic() - began, disturbed)

    def _settings(self) -> Settings:
        return Settings(
            kafka_bootstrap_servers=self.kafka.stack.site.kafka_bootstrap_servers,
            redis_url=self.redis.stack.site.redis_url,
            state=self.state,
            shop="synthetic",
            clock="stream",
            train_every_seconds=86_400,
        )

    # The disturbances.

    def _allowed(self) -> float:
        """Share of the traffic that may be published: evenly over the rounds, a little left for what comes after."""
        if not self.plan:
            return 1.0
        inside = 1.0 - math.exp((self._round_began - time.monotonic()) / _ROUND_S)  # slower and slower, never ended
        rounds_done = self._through + inside
        planned = min(1.0, rounds_done / len(self.plan))
        beyond = min(1.0, max(0.0, rounds_done - len(self.plan)) / 50)
        return 0.9 * planned + 0.1 * beyond

    def _disturb(self) -> None:
        self._settle(time.monotonic(), "the start", note=False)
        for number, each in enumerate(self.plan, 1):
            self._go(each, f"{number}/{len(self.plan)}")
        for number, action in enumerate(self.harm.missing(self.size), 1):
            self._go(Round((action,), settle=action.kind != "offline"), f"still to do {number}")
        self._settle(time.monotonic(), "the end", note=False)

    def _go(self, each: Round, label: str) -> None:
        self._round_began = time.monotonic()
        self.progress.look()
        what = ", ".join(f"{a.kind} {a.what or a.workers or a.seconds or ''}".strip() for a in each.actions)
        self.say(f"[{label}] {what}")
        threads = [threading.Thread(target=self.harm.do, args=(action,), daemon=True) for action in each.actions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if each.settle:
            self._settle(self._round_began, what)
        self._through += 1

    def _settle(self, began: float, after: str, note: bool = True) -> None:
        if not self.progress.await_moves(began, RECOVER_S, note):
            self.problems.append(
                f"after {after}: not every partition went on within {RECOVER_S:.0f} s: {self.progress.last} "
                f"of {self.progress.ends}"
            )

    # The end.

    def _await_end(self, settings: Settings, truth: Truth, timeout_s: float = 180.0) -> None:
        """Wait until everything is applied: interactions in both stores, records of items and customers in Redis."""
        began, until = time.monotonic(), time.monotonic() + timeout_s
        while not (self.progress.applied(truth.ends) and _in_store(settings, truth.ends)):
            if time.monotonic() > until:
                self.problems.append(
                    f"not all was applied {timeout_s:.0f} s after the end: {self.progress.look()}, "
                    f"offline {offline.positions(self.state / 'offline')}, of {truth.ends}"
                )
                return
            time.sleep(0.1)
        self.say(f"interactions: lag 0 after {time.monotonic() - began:.1f} s")
        while not records_applied(settings, self.traffic):
            if time.monotonic() > until:
                self.problems.append(f"not all items and customers were applied {timeout_s:.0f} s after the end")
                return
            time.sleep(0.5)
        self.say(f"items and customers: lag 0 after {time.monotonic() - began:.1f} s")

    def _report(self, found: Verification, truth: Truth, seconds: float, disturbed: float) -> Report:
        counts, hits = self.fleet.counts(), self.fleet.hits()
        offline_hits = self.harm.offline_kills
        read = sum(count for name, count in counts.items() if name != "offline")
        return Report(
            seed=self.seed,
            seconds=round(seconds, 1),
            disturbed_seconds=round(disturbed, 1),
            published=len(self.traffic.records),
            valid=truth.accepted.num_rows,
            duplicates=truth.duplicates,
            late=self.traffic.late,
            malformed=truth.malformed,
            kills={
                "kafka": self.kafka.kills,
                "redis": self.redis.kills,
                "worker": self.fleet.kills,
                "worker, at a failpoint": sum(hits.values()) - offline_hits,
                "offline writer, at a failpoint": offline_hits,
            },
            failpoints={step: hits[step] for step in (*FAILPOINTS, *OFFLINE_FAILPOINTS, *ERASURE)},
            pauses=self.harm.done["pause"],
            ended_asleep=self.harm.done["ended asleep"],
            naps=self.harm.done["nap"],
            rewinds=self.redis.rewinds,
            away=self.harm.done["away"],
            scale_changes=self.harm.done["scale"],
            erased=len(self.traffic.gone),
            worker_starts=self.fleet.starts,
            own_exits=self.fleet.own_exits,
            stuck=self.fleet.stuck,
            read=read,
            read_again=read - len(self.traffic.records),
            outcomes=dict(counts),
            recoveries=[round(each, 2) for each in self.progress.recoveries],
            peak_rss_mb=round(self.fleet.peak_rss / 2**20, 1),
            checked=found.checked,
            mismatched=found.mismatched,
            checks=found.parts,
            examples=found.examples,
            problems=self.problems,
        )


def _in_store(settings: Settings, ends: dict[int, int]) -> bool:
    positions = offline.positions(settings.offline)
    return all(positions.get(partition, 0) == end for partition, end in ends.items())


def as_json(report: Report) -> bytes:
    """The report for programs."""
    formatted: Any = msgspec.json.format(msgspec.json.encode(report), indent=2)
    return bytes(formatted)
