"""Going through the plan: everything is started, disturbed, left to recover, and in the end read and compared."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from streams import offline
from streams.create_topics import create_topics
from streams.ingest.steps import ERASURE, TAKE_UP
from streams.settings import Settings
from tests.chaos import traffic
from tests.chaos.fleet import Fleet, Slot, environment
from tests.chaos.plan import FAILPOINTS, OFFLINE_FAILPOINTS, Action, Round, Size, rounds
from tests.chaos.producer import Publishing
from tests.chaos.progress import Progress
from tests.chaos.report import Report
from tests.chaos.servers import RewindableRedis, Server
from tests.chaos.truth import Truth
from tests.chaos.verify import Verification, verify

RECOVER_S = 120.0
"""Longer than this a recovery must not take, whatever happened."""

_NAP_S = 2.0
"""A worker that is asleep for longer ends; see `streams.ingest.dead_man`."""

_ROUND_S = 7.0
"""About how long a round takes; the traffic is paced by it."""

_RECOVERY = tuple(step for step in TAKE_UP if step.startswith("recover"))
_TAKING_UP = tuple(step for step in TAKE_UP if step not in _RECOVERY)


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
    done: "Counter[str]" = field(default_factory=Counter)
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
            self._to_erase = list(self.traffic.gone)
            self.progress = Progress(settings.redis_url, partitions, publishing.ends)
            publishing.publish_records()
            with Fleet(environment(settings), self.state / "fleet", self.seed) as fleet:
                self.fleet = fleet
                fleet.scale(2)
                publishing.start()
                disturbed = time.monotonic()
                self._disturb()
                while self._to_erase:  # whatever the plan has come to
                    publishing.erase(self._to_erase.pop())
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
        inside = min(1.0, (time.monotonic() - self._round_began) / _ROUND_S) * (self._through < len(self.plan))
        beyond = max(0.0, self._through - len(self.plan)) / 50
        return min(1.0, 0.9 * min(1.0, (self._through + inside) / len(self.plan)) + 0.1 * min(1.0, beyond))

    def _disturb(self) -> None:
        self._settle(time.monotonic(), "the start", note=False)
        for number, each in enumerate(self.plan, 1):
            self._go(each, f"{number}/{len(self.plan)}")
        for number, action in enumerate(self._missing(), 1):
            self._go(Round((action,), settle=action.kind != "offline"), f"still to do {number}")
        self._settle(time.monotonic(), "the end", note=False)

    def _missing(self) -> Iterator[Action]:
        """Failpoints that no worker has come to yet, and what else the offline writer's are short of."""
        if self.size.failpoints < len(FAILPOINTS):
            return
        for step in (*FAILPOINTS, *OFFLINE_FAILPOINTS, *ERASURE) * 3:
            if not self.fleet.hits()[step]:
                kind = "erase" if step in ERASURE else "offline" if step in OFFLINE_FAILPOINTS else "fail"
                yield Action(kind, what=step)
        for at in range(2 * self.size.kills):
            if sum(self.fleet.hits()[step] for step in OFFLINE_FAILPOINTS) < self.size.kills:
                yield Action("offline", what=OFFLINE_FAILPOINTS[at % len(OFFLINE_FAILPOINTS)])

    def _go(self, each: Round, label: str) -> None:
        self._round_began = time.monotonic()
        self.progress.look()
        what = ", ".join(f"{a.kind} {a.what or a.workers or a.seconds or ''}".strip() for a in each.actions)
        self.say(f"[{label}] {what}")
        threads = [threading.Thread(target=self._guarded, args=(action,), daemon=True) for action in each.actions]
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

    def _guarded(self, action: Action) -> None:
        time.sleep(action.after_s)
        try:
            getattr(self, f"_do_{action.kind}")(action)
        except Exception as error:
            self.problems.append(f"{action}: {error!r}")

    def _do_kafka(self, action: Action) -> None:
        self.done["kafka"] += _insist(lambda: self.kafka.kill(action.after_s / 3))

    def _do_redis(self, action: Action) -> None:
        self.done["redis"] += _insist(lambda: self.redis.kill(action.after_s / 3))

    def _do_away(self, action: Action) -> None:
        done = _insist(lambda: self.redis.kill(action.seconds))
        self.done["away"] += done
        self.done["redis"] += done
        time.sleep(action.seconds)

    def _do_rewind(self, _: Action) -> None:
        _insist(lambda: self.redis.running)
        self.redis.remember()
        time.sleep(2.0)
        done = _insist(lambda: self.redis.set_back())
        self.done["rewind"] += done
        self.done["redis"] += done

    def _do_worker(self, _: Action) -> None:
        self.done["worker"] += _insist(self.fleet.kill)

    def _do_offline(self, action: Action) -> None:
        self._come_to(lambda: self.fleet.arm("kill", action.what, action.nth))

    def _do_fail(self, action: Action) -> None:
        """Have a worker killed at a step: of a batch, or of taking up what another has left."""
        if action.what in _TAKING_UP:
            self.fleet.arm_all("kill", action.what)
            self.done["worker"] += self.fleet.kill()
            self._come_to(lambda: self.fleet.arm_all("kill", action.what))
        elif action.what in _RECOVERY:
            # Only a batch that was begun and not finished is recovered.
            if self._come_to(lambda: self.fleet.arm("kill", "items", 1)):
                self._come_to(lambda: self.fleet.arm_all("kill", action.what))
        else:
            self._come_to(lambda: self.fleet.arm("kill", action.what, action.nth))

    def _come_to(self, arm: Callable[[], list[Slot]], timeout_s: float = 15.0) -> bool:
        """Arm workers and wait until one has come to its step; take the others' orders back."""
        before, until = self.fleet.hits().total(), time.monotonic() + timeout_s
        slots = arm()
        while (hit := self.fleet.hits().total() > before) is False and time.monotonic() < until:
            time.sleep(0.05)
        for slot in slots:
            self.fleet.disarm(slot)
        return hit

    def _do_pause(self, action: Action) -> None:
        """Put a worker to sleep until its session is over and another has its partitions."""
        workers = self.fleet.wanted
        self.fleet.scale(max(2, workers))  # somebody must be there to take over
        if action.what:
            slot = next(iter(self.fleet.arm("stop", action.what, action.nth)), None)
            asleep = slot is not None and self.fleet.wait_asleep(slot, 15)
        else:
            slot = self.fleet.pause()
            asleep = slot is not None
        if slot is not None and asleep:
            time.sleep(3.0)  # less than a session: fences that grow from now on do so because it is over
            before = self.progress.look() or self.progress.last
            self.done["pause"] += self.progress.await_new_owners(before, 30)
            time.sleep(action.seconds)
            self.done["ended asleep"] += not self.fleet.wake(slot)
        self.fleet.scale(workers)

    def _do_nap(self, action: Action) -> None:
        """Put a worker to sleep between two writes for less than its session, and set Redis back meanwhile."""
        self.redis.remember()
        time.sleep(1.5)
        slot = next(iter(self.fleet.arm("stop", action.what, action.nth)), None)
        if slot is None or not self.fleet.wait_asleep(slot, 10):
            return
        done = self.redis.set_back()
        self.done["rewind"] += done
        self.done["redis"] += done
        until = time.monotonic() + _NAP_S
        while self.progress.look() is None and time.monotonic() < until:
            time.sleep(0.02)
        self.done["nap"] += self.fleet.wake(slot)

    def _do_erase(self, action: Action) -> None:
        """Erase a customer; whoever applies it is killed in the midst of it, if there is a step for that."""
        if not self._to_erase:
            return
        customer = self._to_erase.pop()
        if action.what:
            self._come_to(lambda: [self.publishing.erase(customer)] and self.fleet.arm_all("kill", action.what))
        else:
            self.publishing.erase(customer)
        self.done["erase"] += 1

    def _do_scale(self, action: Action) -> None:
        self.fleet.scale(action.workers)
        self.done["scale"] += 1
        time.sleep(1.0)

    # The end.

    def _await_end(self, settings: Settings, truth: Truth, timeout_s: float = 180.0) -> None:
        """Wait until everything is applied, in both stores."""
        began, until = time.monotonic(), time.monotonic() + timeout_s
        while not (self.progress.applied(truth.ends) and _in_store(settings, truth.ends)):
            if time.monotonic() > until:
                self.problems.append(
                    f"not all was applied {timeout_s:.0f} s after the end: {self.progress.look()}, "
                    f"offline {offline.positions(self.state / 'offline')}, of {truth.ends}"
                )
                return
            time.sleep(0.1)
        self.say(f"lag 0 after {time.monotonic() - began:.1f} s")

    def _report(self, found: Verification, truth: Truth, seconds: float, disturbed: float) -> Report:
        counts, hits = self.fleet.counts(), self.fleet.hits()
        offline_hits = sum(hits[step] for step in OFFLINE_FAILPOINTS)
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
            pauses=self.done["pause"],
            ended_asleep=self.done["ended asleep"],
            naps=self.done["nap"],
            rewinds=self.redis.rewinds,
            away=self.done["away"],
            scale_changes=self.done["scale"],
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
    positions = offline.positions(settings.state / "offline")
    return all(positions.get(partition, 0) == end for partition, end in ends.items())


def _insist(attempt: Callable[[], bool], timeout_s: float = 30.0) -> int:
    """Try until there is something to hurt; 1 if there was, else 0."""
    until = time.monotonic() + timeout_s
    while not attempt():
        if time.monotonic() > until:
            return 0
        time.sleep(0.05)
    return 1


def as_json(report: Report) -> bytes:
    """The report for programs."""
    formatted: Any = msgspec.json.format(msgspec.json.encode(report), indent=2)
    return bytes(formatted)
