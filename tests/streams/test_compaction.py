"""Compaction changes where rows are, never which: at any moment, wherever it is killed, with readers at it."""

import os
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams import compaction, offline
from streams.compaction import Compaction, Compactor, plan
from streams.contracts.operations import Erasure
from streams.erasure import erasures
from streams.erasure.erasures import customer_hash
from streams.offline import Commit

DAY = offline.DAY
SOON = Compaction(fan_in=4, full=1_000, grace_s=0.0)
PATIENT = Compaction(fan_in=4, full=1_000, grace_s=3600.0)


def rows(start: int, stop: int, partition: int = 0) -> pa.Table:
    offsets = np.arange(start, stop)
    n = len(offsets)
    return pa.table(
        {
            "event_id": [f"e{offset}" for offset in offsets],
            "customer_id": [f"{'d' if partition > 0 else 'c'}{offset % 3}" for offset in offsets],
            "item_id": ["i"] * n,
            "type": ["purchase"] * n,
            "time": 17_000 * DAY + (offsets % 2) * DAY + offsets,
            "quantity": np.ones(n, dtype=np.int32),
            "amount": np.full(n, -1),
            "rating": pa.nulls(n, pa.float32()),
            "session_id": pa.nulls(n, pa.string()),
            "context": ["{}"] * n,
            "recommendation_id": pa.nulls(n, pa.string()),
            "arrival": 18_000 * DAY + offsets,
            "partition": np.full(n, partition, dtype=np.int32),
            "offset": offsets,
        },
        schema=offline.SCHEMA,
    )


def fill(path: Path, ranges: int = 9, width: int = 5, partition: int = 0) -> None:
    for start in range(0, ranges * width, width):
        offline.write_range(path, rows(start, start + width, partition), partition, start, start + width)


def erase(path: Path, customer: str, offset: int, partition: int = 0) -> None:
    erased_at = 18_000 * DAY // 1000 + offset
    entry = Erasure(customer=customer_hash(customer), erased_at=erased_at, partition=partition, offset=offset)
    erasures.write(path, [entry])


def events(path: Path) -> list[tuple[int, int]]:
    table = offline.interactions(path, columns=["partition", "offset"])
    return sorted(zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True))


def on_disk(path: Path) -> set[str]:
    return {str(file.relative_to(path)) for file in path.glob("interactions/*/*.parquet")}


def names_on_disk(path: Path) -> set[str]:
    """Customers of whom there is a row in any file, listed or not."""
    return {name for file in on_disk(path) for name in pq.read_table(path / file)["customer_id"].to_pylist()}


def test_neighbours_become_one_range_with_a_file_a_date(tmp_path: Path) -> None:
    fill(tmp_path)
    offline.write_range(tmp_path, rows(0, 3, 1), 1, 0, 3)
    before = offline.interactions(tmp_path).sort_by([("partition", "ascending"), ("time", "ascending")])
    done = Compactor(tmp_path, PATIENT).run()
    assert done == compaction.Done(merged=6)
    found = offline.commits(tmp_path)
    assert [(each.partition, each.start, each.stop, each.rows, len(each.files)) for each in found] == [
        (0, 0, 35, 35, 2), (0, 35, 40, 5, 2), (0, 40, 45, 5, 2), (1, 0, 3, 3, 2),
    ]  # fmt: skip
    assert found[0].newest_arrival == 18_000 * DAY + 34
    after = offline.interactions(tmp_path).sort_by([("partition", "ascending"), ("time", "ascending")])
    assert after.equals(before)
    assert offline.positions(tmp_path) == {0: 45, 1: 3}
    assert len(on_disk(tmp_path)) == 8 + 14, "readers may still be at the replaced files"
    for retired in (tmp_path / "retired").iterdir():
        os.utime(retired, (0, 0))
    assert Compactor(tmp_path, PATIENT).run() == compaction.Done(removed_files=14)
    assert on_disk(tmp_path) == {file for each in offline.commits(tmp_path) for file in each.files}
    assert Compactor(tmp_path, PATIENT).run() == compaction.Done()


def test_a_range_is_merged_when_enough_of_its_size_stand_beside_it() -> None:
    def ranges(*sizes: int) -> list[Commit]:
        bounds = np.cumsum([0, *sizes]).tolist()
        return [Commit(0, start, stop, stop - start) for start, stop in pairwise(bounds)]

    how = Compaction(fan_in=3, full=50_000)

    def merged(found: list[Commit]) -> list[tuple[int, int]]:
        return [(group[0].start, group[-1].stop) for group in plan(found, how)]

    assert merged(ranges(10, 10)) == []
    assert merged(ranges(10, 10, 10, 10)) == [(0, 30)]
    assert merged(ranges(10, 10, 5_000, 10)) == [(0, 5_020)]
    assert merged(ranges(2_000, 10, 10, 10)) == [(2_000, 2_030)], "a small one does not make a large one be rewritten"
    assert merged(ranges(60_000, 10, 10, 60_000, 10, 10)) == []
    assert merged(ranges(*[400] * 27)) == [(0, 400 * 27)], "one rewriting, not one a size"
    gap = [Commit(0, 0, 10, 10), Commit(0, 10, 20, 10), Commit(0, 25, 30, 5), Commit(1, 30, 40, 10)]
    assert plan(gap, how) == []


def test_rows_of_erased_customers_leave_the_disk(tmp_path: Path) -> None:
    fill(tmp_path, ranges=3)
    offline.write_range(tmp_path, rows(0, 6), offline.BACKFILL, 0, 6)
    fill(tmp_path, ranges=1, partition=1)
    everything = events(tmp_path)
    erase(tmp_path, "c1", 14)
    left = [(p, o) for p, o in everything if p > 0 or o % 3 != 1]
    assert events(tmp_path) == left, "no reader sees them from the moment that they are in the ledger"
    before = on_disk(tmp_path)
    assert "c1" in names_on_disk(tmp_path)
    done = Compactor(tmp_path, SOON).run()
    assert done is not None
    assert (done.merged, done.swept, done.erased_rows) == (0, 4, 7)
    assert events(tmp_path) == left
    assert "c1" not in names_on_disk(tmp_path)
    assert {file.rpartition("/")[2] for file in before & on_disk(tmp_path)} == {"1-0-5.parquet"}
    assert Compactor(tmp_path, SOON).run() == compaction.Done(), "nothing is looked at twice"
    erase(tmp_path, "nobody", 17)
    assert Compactor(tmp_path, SOON).run() == compaction.Done()
    assert {each.swept["0"] for each in offline.commits(tmp_path) if each.partition == offline.BACKFILL} == {18}


def test_what_comes_late_is_swept_too(tmp_path: Path) -> None:
    """A buffer that was on its way when the erasure came, or a worker that had been taken for dead."""
    erase(tmp_path, "c1", 12)
    fill(tmp_path, ranges=4)
    Compactor(tmp_path, SOON).run()
    assert "c1" not in names_on_disk(tmp_path)
    offline.write_range(tmp_path, rows(5, 10), 0, 5, 10)
    assert "c1" in names_on_disk(tmp_path)
    Compactor(tmp_path, SOON).run()
    assert "c1" not in names_on_disk(tmp_path)
    assert [o for _, o in events(tmp_path)] == [o for o in range(20) if o % 3 != 1]


class Killed(BaseException):
    """Stands for the process's end."""


def killed_at(number: int) -> tuple[Callable[[str], None], list[str]]:
    seen: list[str] = []

    def step(name: str) -> None:
        seen.append(name)
        if len(seen) == number:
            raise Killed

    return step, seen


def test_killed_at_any_step_nothing_is_lost_and_nothing_twice(tmp_path: Path) -> None:
    """As many stores as steps: each is compacted up to one step, read, and compacted again."""
    number, kinds = 1, set()
    while True:
        path = tmp_path / str(number)
        fill(path, ranges=6)
        offline.write_range(path, rows(0, 7), offline.BACKFILL, 0, 7)
        erase(path, "c2", 30)
        expected = events(path)
        step, seen = killed_at(number)
        try:
            Compactor(path, SOON, step).run()
        except Killed:
            kinds.add(seen[-1])
            assert events(path) == expected, (number, seen[-1])
            assert offline.positions(path) == {0: 30, offline.BACKFILL: 7}
            Compactor(path, SOON).run()
        else:
            break
        assert events(path) == expected, number
        assert sum(each.rows for each in offline.commits(path)) == len(expected), number
        for file in path.rglob("*.parquet"):  # what was written and never published goes when a partition is taken
            os.utime(file, (0, 0))
        offline.remove_orphans(path, 0)
        offline.remove_orphans(path, offline.BACKFILL)
        assert "c2" not in names_on_disk(path), number
        number += 1
    assert kinds == {"file", "marker", "retire", "withdraw", "remove"}
    assert number > 25


def test_readers_see_each_event_once_while_ranges_are_merged_and_removed(tmp_path: Path) -> None:
    fill(tmp_path, ranges=1, width=10)
    stop, failed, looks = threading.Event(), [], 0

    def look() -> None:
        nonlocal looks
        at_least = 0
        while not stop.is_set():
            try:
                before = offline.positions(tmp_path)[0]
                offsets = [offset for _, offset in events(tmp_path)]
                assert offsets == list(range(len(offsets))), "lost or twice"
                assert len(offsets) >= max(at_least, before), "gone again"
                at_least, looks = len(offsets), looks + 1
            except BaseException as error:
                failed.append(error)
                return

    reader = threading.Thread(target=look)
    reader.start()
    try:
        compactor = Compactor(tmp_path, Compaction(fan_in=2, full=10_000, grace_s=2.0))
        for at in range(1, 60):
            offline.write_range(tmp_path, rows(at * 10, at * 10 + 10), 0, at * 10, at * 10 + 10)
            compactor.run()
    finally:
        stop.set()
        reader.join(60)
    assert failed == []
    assert looks > 3
    assert len(offline.commits(tmp_path)) <= 7


def test_only_one_process_compacts_a_store(tmp_path: Path) -> None:
    fill(tmp_path)
    with compaction.locked(tmp_path) as mine:
        assert mine
        assert Compactor(tmp_path, SOON).run() is None
    assert Compactor(tmp_path, SOON).run() is not None
    assert Compactor(tmp_path / "none", SOON).run() is None


def test_replaced_files_are_no_orphans(tmp_path: Path) -> None:
    fill(tmp_path)
    Compactor(tmp_path, PATIENT).run()
    for file in on_disk(tmp_path):
        os.utime(tmp_path / file, (0, 0))
    there = on_disk(tmp_path)
    assert offline.remove_orphans(tmp_path, 0) == 0
    assert on_disk(tmp_path) == there


@pytest.mark.parametrize("until", [{"until_arrival": 18_000 * DAY + 20}, {"until_time": 17_001 * DAY}])
def test_bounds_hold_across_a_compaction(tmp_path: Path, until: dict[str, int]) -> None:
    fill(tmp_path)
    before = sorted(offline.interactions(tmp_path, columns=["offset"], **until)["offset"].to_pylist())
    Compactor(tmp_path, SOON).run()
    assert sorted(offline.interactions(tmp_path, columns=["offset"], **until)["offset"].to_pylist()) == before
