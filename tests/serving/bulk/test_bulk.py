"""Bulk lists over arrays: the same as one by one, in parts that are done once, by processes that may die."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deploy.commands.batch import read_ids
from feature_repo.encoder import Encoder
from feature_repo.purchases import DAY
from serving.bulk.formats import Format
from serving.bulk.lists import Lister
from serving.bulk.run import Output, Run, RunError, digest
from serving.bulk.scorer import BulkScorer
from serving.bulk.workers import WorkerError, Workers
from serving.customers import Customers
from serving.local_scorer import LocalScorer
from serving.recommendation import Query
from serving.recommender import Recommender
from serving.snapshot import Snapshot, snapshot, widths
from tests.serving.shop import SHOP, TODAY, customers, encoder_spec, items_table
from tests.serving.tiny_bundle import write_bundle

N, AS_OF = 700, TODAY * DAY + 1000
ITEMS = [f"i{k}" for k in range(N)]
TABLE = items_table(N)
BOUGHT = {f"c{k}": [ITEMS[(k * 7 + j * j) % N] for j in range(k % 9)] for k in range(60)}
IDS = [*BOUGHT, "stranger", "another"]
ROWS = customers(BOUGHT, TABLE.catalogue, unknown=IDS[-2:])
PLACES = {name: place for place, name in enumerate(ROWS.ids)}
RUN = Run(SHOP.name, 1, AS_OF, 12, 500, Format.PARQUET, 20, len(IDS), digest(IDS))


def read(ids: Sequence[str]) -> Customers:
    return ROWS.take(np.array([PLACES[name] for name in ids], np.int64))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    spec = encoder_spec(ITEMS)
    bundle = write_bundle(
        tmp_path_factory.mktemp("bundles"), 1, ITEMS, widths(Encoder(spec)), spec.to_json(), SHOP.name
    )
    return snapshot(bundle, TABLE, TODAY)


def lister(model: Snapshot, **options: Any) -> Lister:
    return Lister(TABLE, model, BulkScorer(model.bundle), read, **({"as_of": AS_OF, "n": 12} | options))


def work(directory: Path, model: Snapshot, run: Run = RUN, processes: int = 2) -> Output:
    output = Output(directory)
    output.begin(run, IDS)
    workers = Workers(output, run, pa.array(IDS), lambda: lister(model, n=run.n), 8, processes)
    *_, done = workers.progress()
    assert done == sum(stop - start for start, stop in map(run.bounds, workers.parts))
    assert not output.missing(run)
    output.finish(run)
    return output


def test_lists_are_those_of_each_alone(model: Snapshot) -> None:
    table = lister(model).lists(IDS)
    assert table["customer_id"].to_pylist() == IDS
    alone = Recommender(TABLE, LocalScorer(model.bundle), lambda: 0.0)
    for row in table.to_pylist():
        [answer] = alone.recommend([Query(row["customer_id"], AS_OF, 12)], read([row["customer_id"]]), model)
        assert row["items"] == [ITEMS[place] for place in answer.rows]
        np.testing.assert_allclose(row["scores"], answer.scores, rtol=1e-5)
        assert row["reason"] == (answer.reason.value if answer.reason else None)
    assert table["reason"].to_pylist()[-2:] == ["unknown_customer"] * 2


def test_fewer_candidates_are_still_a_hundred_each(model: Snapshot) -> None:
    class Counting(BulkScorer):
        rows = 0

        def rank(self, version: int, categorical: Any, continuous: Any) -> Any:
            self.rows += len(categorical)
            return super().rank(version, categorical, continuous)

    scorer = Counting(model.bundle)
    table = Lister(TABLE, model, scorer, read, as_of=AS_OF, n=12, candidates=100).lists(list(BOUGHT))
    assert scorer.rows == 100 * len(BOUGHT)
    assert set(table["items"].combine_chunks().value_lengths().to_pylist()) == {12}


def test_processes_make_what_one_makes(model: Snapshot, tmp_path: Path) -> None:
    output = work(tmp_path / "out", model)
    assert [each.name for each in sorted(output.directory.glob("part-*"))] == [
        f"part-0000{part}.parquet" for part in range(4)
    ]
    made = pa.concat_tables([pq.read_table(output.path(RUN, part)) for part in range(4)])
    expected = lister(model).lists(IDS)
    assert made["customer_id"].to_pylist() == IDS
    assert made["items"].to_pylist() == expected["items"].to_pylist()


def test_what_is_done_is_not_done_again(model: Snapshot, tmp_path: Path) -> None:
    output = work(tmp_path, model)
    before = {part: output.path(RUN, part).stat().st_ino for part in range(4)}
    output.path(RUN, 2).unlink()
    assert output.missing(RUN) == [2]
    work(tmp_path, model)
    after = {part: output.path(RUN, part).stat().st_ino for part in range(4)}
    assert {part for part in before if before[part] == after[part]} >= {0, 1, 3}


@pytest.mark.parametrize("change", [{"model": 2}, {"as_of": AS_OF + 1}, {"n": 10}, {"candidates": 200}, {"sha256": ""}])
def test_a_run_is_continued_only_as_it_was_begun(tmp_path: Path, change: dict[str, Any]) -> None:
    output = Output(tmp_path)
    output.begin(RUN, IDS)
    assert output.begun() == RUN
    assert output.customers() == IDS
    [name] = change
    with pytest.raises(RunError, match=f"was begun with {name} "):
        output.begin(msgspec.structs.replace(RUN, **change), IDS)
    output.begin(RUN, IDS)


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(RunError, match="'precious', which no run has written"):
        Output(tmp_path).begin(RUN, IDS)


def test_two_runs_do_not_share_a_directory(tmp_path: Path) -> None:
    output, other = Output(tmp_path), Output(tmp_path)
    with output.locked(), pytest.raises(RunError, match="another run is at work"), other.locked():
        pass
    with other.locked():
        assert other.begun() is None


def test_a_worker_that_fails_or_dies_is_told_and_what_is_done_stays(model: Snapshot, tmp_path: Path) -> None:
    def failing(die: bool) -> Lister:
        def reading(ids: Sequence[str]) -> Customers:
            if "c45" in ids:
                if die:
                    os.kill(os.getpid(), 9)
                raise ConnectionError("the store is gone")
            return read(ids)

        return Lister(TABLE, model, BulkScorer(model.bundle), reading, as_of=AS_OF, n=12)

    output = Output(tmp_path)
    output.begin(RUN, IDS)
    for die, said in ((False, "the store is gone"), (True, "ended with -9")):
        workers = Workers(output, RUN, pa.array(IDS), lambda die=die: failing(die), 8, 1)
        with pytest.raises(WorkerError, match=said):
            list(workers.progress())
        assert output.missing(RUN) == [2, 3]
    work(tmp_path, model)


def test_csv_and_submission(model: Snapshot, tmp_path: Path) -> None:
    expected = lister(model).lists(IDS).to_pylist()
    form = msgspec.structs.replace(RUN, format=Format.CSV)
    output = work(tmp_path / "csv", model, form)
    rows = [row for part in range(4) for row in csv.DictReader(output.path(form, part).open(newline=""))]
    assert [(row["customer_id"], int(row["rank"]), row["item_id"], row["reason"]) for row in rows] == [
        (each["customer_id"], rank, item, each["reason"] or "")
        for each in expected
        for rank, item in enumerate(each["items"], start=1)
    ]
    form = msgspec.structs.replace(RUN, format=Format.HM)
    output = work(tmp_path / "hm", model, form)
    lines = (output.directory / "submission.csv").read_text().splitlines()
    assert lines == [
        "customer_id,prediction",
        *(f"{each['customer_id']},{' '.join(each['items'])}" for each in expected),
    ]


def test_customers_are_read_from_any_of_three_kinds_of_file(tmp_path: Path) -> None:
    ids = ["007", "anna, the first", "c 3"]
    (tmp_path / "ids.txt").write_text("\r\n".join(ids) + "\n\n")
    with (tmp_path / "sample.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("customer_id", "prediction"), *((each, "0706016001 0706016002") for each in ids)])
    pq.write_table(pa.table({"age": [1, 2, 3], "customer_id": ids}), tmp_path / "ids.parquet")
    for name in ("ids.txt", "sample.csv", "ids.parquet"):
        assert list(read_ids(tmp_path / name)) == ids, name
