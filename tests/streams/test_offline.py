"""The offline store: committed ranges only, each event once, whatever lies around."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from streams import offline
from streams.contracts.operations import Erasure
from streams.erasure import erasures

DAY = offline.DAY


def rows(offsets: list[int], times: list[int] | None = None, partition: int = 0) -> pa.Table:
    n = len(offsets)
    times = times or [17_000 * DAY + offset for offset in offsets]
    return pa.table(
        {
            "event_id": [f"e{offset}" for offset in offsets],
            "customer_id": ["c"] * n,
            "item_id": ["i"] * n,
            "type": ["purchase"] * n,
            "time": times,
            "quantity": np.ones(n, dtype=np.int32),
            "amount": np.full(n, -1),
            "rating": pa.nulls(n, pa.float32()),
            "session_id": pa.nulls(n, pa.string()),
            "context": ["{}"] * n,
            "recommendation_id": pa.nulls(n, pa.string()),
            "arrival": [1_000 + offset for offset in offsets],
            "partition": np.full(n, partition, dtype=np.int32),
            "offset": offsets,
        },
        schema=offline.SCHEMA,
    )


def stored(path: Path, **bounds: int) -> list[int]:
    return offline.interactions(path, columns=["offset"], **bounds)["offset"].to_pylist()


def test_a_store_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert offline.interactions(tmp_path).schema == offline.SCHEMA
    assert offline.interactions(tmp_path).num_rows == 0
    assert offline.positions(tmp_path) == {}


def test_a_range_comes_back_in_the_order_of_time(tmp_path: Path) -> None:
    table = rows([5, 6, 9], [17_001 * DAY, 17_000 * DAY + 7, 17_000 * DAY])
    commit = offline.write_range(tmp_path, table, 3, 4, 10)
    assert commit.files == (
        "interactions/date=2016-07-18/3-4-10.parquet",
        "interactions/date=2016-07-19/3-4-10.parquet",
    )
    assert (commit.rows, commit.newest_arrival) == (3, 1_009)
    assert offline.interactions(tmp_path).equals(table.take([2, 1, 0]))
    assert offline.positions(tmp_path) == {3: 10}
    assert offline.commits(tmp_path) == [commit]


def test_a_range_without_accepted_events_moves_the_position(tmp_path: Path) -> None:
    offline.write_range(tmp_path, rows([]), 0, 0, 5)
    assert offline.positions(tmp_path) == {0: 5}
    assert offline.interactions(tmp_path).num_rows == 0


def test_bounds_are_exclusive(tmp_path: Path) -> None:
    offline.write_range(tmp_path, rows([0, 1, 2]), 0, 0, 3)
    assert stored(tmp_path, until_arrival=1_002) == [0, 1]
    assert stored(tmp_path, until_time=17_000 * DAY + 1) == [0]
    assert stored(tmp_path, until_arrival=1_002, until_time=17_000 * DAY + 1) == [0]


def test_files_without_a_marker_do_not_exist_and_are_removed(tmp_path: Path) -> None:
    offline.write_range(tmp_path, rows([0, 1]), 0, 0, 2)
    offline.write_range(tmp_path, rows([2, 3]), 0, 2, 4)
    (tmp_path / "commits" / "0-2-4.json").unlink()
    assert stored(tmp_path) == [0, 1]
    assert offline.positions(tmp_path) == {0: 2}
    assert offline.remove_orphans(tmp_path, 0) == 0, "young ones may be about to be published"
    orphan = next(tmp_path.glob("interactions/*/0-2-4.parquet"))
    os.utime(orphan, (0, 0))
    assert offline.remove_orphans(tmp_path, 1) == 0
    assert offline.remove_orphans(tmp_path, 0) == 1
    assert not orphan.exists()
    assert stored(tmp_path) == [0, 1]


def test_ranges_that_two_workers_wrote_count_once(tmp_path: Path) -> None:
    offline.write_range(tmp_path, rows([0, 1]), 0, 0, 2)
    offline.write_range(tmp_path, rows([2, 3, 4]), 0, 2, 5)
    offline.write_range(tmp_path, rows([2, 3, 4, 5, 6]), 0, 2, 7)
    offline.write_range(tmp_path, rows([6, 7]), 0, 6, 8)
    offline.write_range(tmp_path, rows([3], partition=1), 1, 3, 4)
    assert sorted(stored(tmp_path)) == [0, 1, 2, 3, 3, 4, 5, 6, 7]


def test_a_broken_marker_is_named(tmp_path: Path) -> None:
    offline.write_range(tmp_path, rows([0]), 0, 0, 1)
    (tmp_path / "commits" / "0-0-1.json").write_text("{")
    with pytest.raises(ValueError, match=r"0-0-1\.json is no commit marker"):
        offline.interactions(tmp_path)


def test_no_reader_sees_what_the_ledger_has_erased(tmp_path: Path) -> None:
    """Before its place in the stream, and whatever is as old as it; not what a customer did who came back."""
    arrivals = [1_000, 2_000, 3_000, 9_000]
    table = rows([0, 1, 2, 3], [500, 99_000, 600, 8_000])
    table = table.set_column(table.schema.get_field_index("arrival"), "arrival", pa.array(arrivals))
    offline.write_range(tmp_path, table.cast(offline.SCHEMA), 0, 0, 4)
    offline.write_range(tmp_path, rows([0, 1], [500, 99_000], offline.BACKFILL), offline.BACKFILL, 0, 2)
    assert sorted(stored(tmp_path)) == [0, 0, 1, 1, 2, 3]
    entry = Erasure(customer=erasures.customer_hash("c"), erased_at=3, partition=0, offset=2)
    erasures.write(tmp_path, [entry])
    assert sorted(stored(tmp_path)) == [1, 3], "of the backfill only what was still to happen"
    assert offline.interactions(tmp_path, columns=["item_id"]).num_rows == 2
    erasures.write(tmp_path, [Erasure(customer="0" * 32, erased_at=10**9, partition=0, offset=9)])
    assert sorted(stored(tmp_path)) == [1, 3]


def test_a_broken_file_of_the_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "erasures").mkdir()
    (tmp_path / "erasures" / "0-1-1.json").write_text("{")
    with pytest.raises(ValueError, match=r"0-1-1\.json is no file of the ledger"):
        offline.interactions(tmp_path)
