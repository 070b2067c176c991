"""The live part of the demo: the last days through Kafka while requests are answered and the model is retrained."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.traffic import Tally, Traffic
from benchmarks.worker_metrics import total
from deploy.demo.world import World
from streams import offline
from streams.contracts.codec import decode
from streams.contracts.operations import BundleAnnouncement, TrainingTrigger
from streams.replay import Plan, Summary, replay
from streams.replay_checkpoint import Checkpoint

EVENTS = "headwater_events_total"
RETRAIN_TIMEOUT_S = 400.0


@dataclass(frozen=True)
class Live:
    """What the live replay and the requests meanwhile came to.

    `per_second`: events from the first one published to the last one's features written.
    `first_answers`: model version -> wall clock of the first answer by it.
    """

    replayed: Summary
    per_second: float
    tally: Tally
    first_answers: dict[int, float]


def replay_live(world: World, customers: Sequence[str], malformed: int, requests_per_second: float) -> Live:
    """Replay everything after the cut, with requests from before the start until a retrained model answers."""
    before = total(world.streams_metrics, EVENTS)
    base_version = newest_version(world)
    traffic = Traffic(world.settings, customers, requests_per_second)
    traffic.start()
    time.sleep(1.0)
    start = time.perf_counter()
    replayed, seconds = _publish(world, before, malformed, start)
    _await_version(world, traffic, base_version + 1)
    tally = traffic.finish()
    first: dict[int, float] = {}
    for at, received in traffic.received:
        version = received.reply.model_version
        if version is not None:
            first[version] = min(first.get(version, at), at)
    return Live(replayed, replayed.sent["interactions"] / seconds, tally, first)


def _publish(world: World, before: float, malformed: int, start: float) -> tuple[Summary, float]:
    """Publish, then wait until the worker has applied all of it."""
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=world.console, transient=True) as progress:
        task = progress.add_task("live replay", total=None)

        def report(_: str, sent: int, known: int | None, at: int) -> None:
            progress.update(task, completed=sent, total=known)

        plan = Plan(start=world.cut + 1, what=("interactions",), malformed=malformed)
        replayed = replay(world.source, world.settings, plan, Checkpoint(), report)
        expected = before + replayed.sent["interactions"] + replayed.malformed
        while (done := total(world.streams_metrics, EVENTS)) < expected:
            progress.update(task, description="features", completed=int(done - before), total=int(expected - before))
            if time.perf_counter() - start > 600:
                raise TimeoutError(f"{expected - done:.0f} of {expected - before:.0f} events were not applied in 600 s")
            time.sleep(0.1)
    return replayed, time.perf_counter() - start


def _await_version(world: World, traffic: Traffic, version: int) -> None:
    """Wait until requests are answered by a model at least as new."""
    deadline = time.monotonic() + RETRAIN_TIMEOUT_S
    with world.console.status("  training on the new events, requests go on"):
        while time.monotonic() < deadline and traffic.is_alive():
            if traffic.received and (traffic.received[-1][1].reply.model_version or 0) >= version:
                return
            time.sleep(0.2)
    raise TimeoutError(
        f"no answer by model {version} within {RETRAIN_TIMEOUT_S:.0f} s; see {world.site.logs / 'trainer.log'}"
    )


def triggers(world: World) -> dict[str, TrainingTrigger]:
    """Return every training trigger by its id."""
    found = [
        decode(r.value, TrainingTrigger) for r in world.records(world.settings.topics.training_triggers) if r.value
    ]
    return {each.trigger_id: each for each in found}


def announcements(world: World) -> list[BundleAnnouncement]:
    """Return the bundles announced, as far as Kafka still has them."""
    found = [decode(r.value, BundleAnnouncement) for r in world.records(world.settings.topics.models) if r.value]
    return sorted(found, key=lambda each: each.version)


def newest_version(world: World) -> int:
    """Return the newest version announced, 0 without any."""
    return max((each.version for each in announcements(world)), default=0)


def await_offline(world: World, interactions: int, timeout_s: float = 120.0) -> None:
    """Wait until the offline store holds that many interactions of the stream.

    Raises
    ------
    TimeoutError
        When it does not; says how many it holds.
    """
    deadline = time.monotonic() + timeout_s
    while (rows := streamed_rows(world)) < interactions:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the offline store holds {rows} of {interactions} interactions after {timeout_s:.0f} s")
        time.sleep(0.5)


def streamed_rows(world: World) -> int:
    """Return how many interactions the stream has put into the offline store."""
    found = offline.commits(world.site.state / "offline")
    return sum(commit.rows for commit in found if commit.partition != offline.BACKFILL)
