"""Everything that is done to Kafka, Redis and the workers."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from streams.ingest.steps import ERASURE, OFFLINE, TAKE_UP
from tests.chaos.fleet import Fleet, Slot
from tests.chaos.plan import FAILPOINTS, Action, Size
from tests.chaos.producer import Publishing
from tests.chaos.progress import Progress
from tests.chaos.servers import RewindableRedis, Server

_NAP_S = 2.0
"""A worker that is asleep for longer ends; see `streams.ingest.dead_man`."""

_RECOVERY = tuple(step for step in TAKE_UP if step.startswith("recover"))
_TAKING_UP = tuple(step for step in TAKE_UP if step not in _RECOVERY)


@dataclass
class Disturbances:
    """Does what the plan says.

    Attributes
    ----------
    to_erase: customers who are erased one after the other.
    done: how often each kind of thing was really done.
    problems: what could not be done, a sentence each.
    """

    kafka: Server
    redis: RewindableRedis
    fleet: Fleet
    progress: Progress
    publishing: Publishing
    to_erase: list[str]
    done: "Counter[str]" = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def do(self, action: Action) -> None:
        """Wait for the action's moment and take it."""
        time.sleep(action.after_s)
        try:
            getattr(self, f"_do_{action.kind}")(action)
        except Exception as error:
            self.problems.append(f"{action}: {error!r}")

    @property
    def offline_kills(self) -> int:
        """How often a worker was killed inside the offline writer."""
        hits = self.fleet.hits()
        return sum(hits[step] for step in OFFLINE)

    def missing(self, size: Size) -> Iterator[Action]:
        """Failpoints that no worker has come to yet, and what else the offline writer's are short of."""
        whole = size.failpoints >= len(FAILPOINTS)
        for step in (*FAILPOINTS, *OFFLINE, *ERASURE) * 3 if whole else ():
            if not self.fleet.hits()[step]:
                kind = "erase" if step in ERASURE else "offline" if step in OFFLINE else "fail"
                yield Action(kind, what=step)
        for _ in range(3):
            if self.fleet.hits().total() == self.offline_kills:
                yield Action("fail", what="begin")
        for at in range(2 * size.kills):
            if self.offline_kills < (size.kills if whole else 1):
                yield Action("offline", what=OFFLINE[at % len(OFFLINE)])

    def erase_the_rest(self) -> None:
        """Erase who is left."""
        while self.to_erase:
            self.publishing.erase(self.to_erase.pop())

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

    def _come_to(self, arm: Callable[[], list[Slot]], timeout_s: float = 40.0) -> bool:
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
        if not self.to_erase:
            return
        customer = self.to_erase.pop()

        def erase() -> list[Slot]:
            slots = self.fleet.arm_all("kill", action.what)
            self.publishing.erase(customer)
            return slots

        if action.what:
            self._come_to(erase)
        else:
            self.publishing.erase(customer)
        self.done["erase"] += 1

    def _do_scale(self, action: Action) -> None:
        self.fleet.scale(action.workers)
        self.done["scale"] += 1
        time.sleep(1.0)


def _insist(attempt: Callable[[], bool], timeout_s: float = 30.0) -> int:
    """Try until there is something to hurt; 1 if there was, else 0."""
    until = time.monotonic() + timeout_s
    while not attempt():
        if time.monotonic() > until:
            return 0
        time.sleep(0.05)
    return 1
