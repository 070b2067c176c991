"""The short form of `make chaos`: every kind of trouble once or twice, then the whole store compared."""

from pathlib import Path

import pytest

from tests.chaos.plan import FULL, SHORT, rounds
from tests.chaos.run import Chaos


@pytest.mark.stack
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_counted_twice(tmp_path: Path) -> None:
    report = Chaos(tmp_path, SHORT, seed=1, say=print).run()
    assert report.problems == []
    assert report.examples == []
    assert report.mismatched == 0
    assert report.checked > 100_000
    kills = report.kills
    assert min(kills["kafka"], kills["redis"], kills["worker"]) >= SHORT.kills
    assert kills["worker, at a failpoint"] > 0
    assert kills["offline writer, at a failpoint"] > 0
    assert report.rewinds >= SHORT.rewinds
    assert report.duplicates == SHORT.events * 0.02
    assert report.malformed == SHORT.events * 0.01


def test_a_plan_follows_from_its_seed_and_is_complete() -> None:
    plan = rounds(FULL, 7)
    assert plan == rounds(FULL, 7)
    assert plan != rounds(FULL, 8)
    kinds = [action.kind for each in plan for action in each.actions]
    assert min(kinds.count(kind) for kind in ("kafka", "redis", "worker", "offline")) == FULL.kills == 20
    assert len({action.what for each in plan for action in each.actions if action.kind == "fail"}) == 15
