"""What is done to whom, and in which order: drawn from a seed before anything starts."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from streams.ingest import steps

FAILPOINTS = (*steps.TAKE_UP, *steps.BATCH)
"""Steps of the stream worker at which it is killed."""

OFFLINE_FAILPOINTS = steps.OFFLINE
"""Steps of the offline writer at which it is killed."""

SLEEPS = ("customers", "customers changelog", "items", "changelog", "applied", "finish")
"""Steps at which a worker is put to sleep: what it had begun must not come out when it is woken."""


_FULL_MINUTES = 9.0


@dataclass(frozen=True)
class Action:
    """One thing that is done.

    Attributes
    ----------
    kind: "kafka", "redis", "worker" (SIGKILL); "offline", "fail" (SIGKILL at the step `what`); "pause" (SIGSTOP, at the
        step `what` if there is one, until another worker has the partitions); "nap" (SIGSTOP at a step while Redis is
        set back); "rewind"; "away" (Redis, for `seconds`); "erase" (a customer); "scale" (to `workers`).
    after_s: seconds after its round has begun.
    nth: at which time that the step is reached.
    """

    kind: str
    after_s: float = 0.0
    what: str = ""
    nth: int = 1
    seconds: float = 0.0
    workers: int = 0


@dataclass(frozen=True)
class Round:
    """Actions that overlap; `settle` says whether recovery is awaited before the next round."""

    actions: tuple[Action, ...]
    settle: bool


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes
    ----------
    events: distinct valid ones, about.
    kills: SIGKILLs of Kafka, of Redis, of a worker, and at steps of the offline writer, each.
    failpoints: SIGKILLs at the worker's steps, all in turn.
    away_s: how long Redis is away, each time.
    """

    events: int = 200_000
    customers: int = 5_000
    items: int = 1_500
    kills: int = 20
    failpoints: int = 2 * len(FAILPOINTS)
    pauses: int = 5
    naps: int = 3
    rewinds: int = 5
    scales: int = 3
    erasures: int = 6
    away_s: tuple[float, ...] = (10.0, 10.0, 60.0)

    def scaled(self, minutes: float) -> "Size":
        """The same mixture for about so many minutes of disturbance on two cores."""
        share = minutes / _FULL_MINUTES

        def of(number: int) -> int:
            return max(1, round(number * share))

        return replace(
            self, kills=of(self.kills), failpoints=of(self.failpoints), pauses=of(self.pauses),
            naps=of(self.naps), erasures=of(self.erasures), rewinds=of(self.rewinds), scales=of(self.scales),
        )  # fmt: skip


FULL = Size()
SHORT = Size(
    events=20_000, customers=1_500, items=400, kills=2, failpoints=6, pauses=1, naps=1, rewinds=1, scales=1, erasures=2,
    away_s=(5.0,),
)  # fmt: skip
"""For every run of the tests: each kind of trouble, not every combination."""

_SUBJECT = {"kafka": "kafka", "redis": "redis", "rewind": "redis", "away": "redis"}
_ALONE = ("pause", "nap", "scale")


def rounds(size: Size, seed: int) -> list[Round]:
    """Return the whole plan; the same seed gives the same one."""
    rng = random.Random(seed)
    actions = list(_actions(size, rng))
    rng.shuffle(actions)
    plan: list[Round] = []
    while actions:
        some = _overlapping(actions, rng)
        plan.append(Round(tuple(some), settle=rng.random() < 0.7))
    return plan


def _actions(size: Size, rng: random.Random) -> Iterator[Action]:
    for kind in ("kafka", "redis", "worker"):
        yield from (Action(kind, rng.uniform(0, 3)) for _ in range(size.kills))
    for at in range(size.kills):
        yield Action("offline", rng.uniform(0, 1), OFFLINE_FAILPOINTS[at % len(OFFLINE_FAILPOINTS)], rng.randint(1, 2))
    steps_in_turn = rng.sample(FAILPOINTS, len(FAILPOINTS))
    for at in range(size.failpoints):
        yield Action("fail", rng.uniform(0, 1), steps_in_turn[at % len(FAILPOINTS)], rng.randint(1, 3))
    for at in range(size.pauses):
        yield Action("pause", what=rng.choice(SLEEPS) if at % 2 else "", seconds=rng.uniform(0, 1.5))
    yield from (Action("nap", what=rng.choice(SLEEPS)) for _ in range(size.naps))
    yield from (Action("rewind", rng.uniform(0, 1)) for _ in range(size.rewinds))
    yield from (Action("away", rng.uniform(0, 1), seconds=seconds) for seconds in size.away_s)
    for at in range(size.erasures):
        yield Action("erase", rng.uniform(0, 1), steps.ERASURE[0] if at % 2 == 0 else "")
    for _ in range(size.scales):
        yield from (Action("scale", workers=workers) for workers in (3, 1, 2))


def _overlapping(actions: list[Action], rng: random.Random) -> list[Action]:
    """Take a few actions that may overlap: at most one for each server, some only with the servers'."""
    wanted = rng.choice((3, 4, 5))
    taken: list[Action] = []
    for action in list(actions):
        if len(taken) == wanted:
            break
        if _fits(action, taken):
            taken.append(action)
            actions.remove(action)
    return taken


def _fits(action: Action, taken: Sequence[Action]) -> bool:
    if not taken:
        return True
    if action.kind in _ALONE or any(other.kind in _ALONE for other in taken):
        return False
    subject = _SUBJECT.get(action.kind)
    return subject is None or all(_SUBJECT.get(other.kind) != subject for other in taken)
