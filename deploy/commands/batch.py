"""Make the lists of all customers in bulk, into files."""

from __future__ import annotations

import csv
import datetime
import os
import time
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import redis
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from feature_repo.items_state import SLOT
from feature_repo.shop import load_shop
from serving.bulk.formats import Format
from serving.bulk.run import Output, Run, RunError, digest
from serving.bulk.stage import announced_bundle, lister, load_items, own_bundle
from serving.bulk.workers import WorkerError, Workers
from serving.bundle import Bundle, BundleError
from serving.candidates import LIMITS, SCORED
from serving.items_table import ItemsTable
from serving.settings import ServingSettings
from streams import offline
from streams.contracts.events import instant

N, PART, BATCH = 12, 10_000, 256
PARTS = 16
"""At least, where there are enough customers: so that no process waits for another's last one."""


@click.command("batch")
@click.option(
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the parts. One that holds a run begun before: go on with it.",
)
@click.option(
    "--customers",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Whose lists, in this order: a CSV or Parquet file with a column customer_id (Kaggle's sample_submission.csv "
    "is one), or a text file with an id a line. Default: everybody in the offline store.",
)
@click.option("-n", "--n", type=click.IntRange(1, 200), help=f"Items in a list.  [default: {N}]")
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]),
    help="Recommend as if it were then, UTC.  [default: now, or the stream's newest event with HEADWATER_CLOCK=stream]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice([each.value for each in Format]),
    help="parquet: a row a customer, with items and scores; csv: a row an item; hm: Kaggle's submission file.  "
    "[default: parquet]",
)
@click.option(
    "--candidates",
    type=click.IntRange(100, LIMITS.total),
    help="How many items are scored for each customer at most; fewer are faster, and may miss an item.  "
    f"[default: as online, {SCORED} unless HEADWATER_CANDIDATES or a long list says otherwise]",
)
@click.option("--model", type=int, metavar="VERSION", help="Which model.  [default: the one announced last]")
@click.option("--part", type=click.IntRange(1), help=f"Customers in a file.  [default: at most {PART}]")
@click.option("--batch-size", default=BATCH, show_default=True, type=click.IntRange(1, 4096), help="Computed together.")
@click.option(
    "--processes",
    default=len(os.sched_getaffinity(0)),
    show_default="a core each",
    type=click.IntRange(1, 256),
    help="Worker processes.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object: the run, and what was made in which time."
)
def command(
    output: Path,
    file: Path | None,
    n: int | None,
    as_of: datetime.datetime | None,
    form: str | None,
    candidates: int | None,
    model: int | None,
    part: int | None,
    batch_size: int,
    processes: int,
    as_json: bool,
) -> None:
    """Recommend to everybody, by the same code and with the same answers as online, without Triton.

    Customers' rows are read from the online store. Lists are written in parts; a part that is there is whole, and not
    made again: the same command continues where it was stopped, for the same instant. It refuses to continue with
    another model, instant, number of items or list of customers.

    \b
    headwater batch --output build/lists
    headwater batch --output build/hm --format hm --customers sample_submission.csv
    """
    settings, console = ServingSettings(), Console(stderr=True)
    target, started = Output(output), time.monotonic()
    try:
        with target.locked():
            before = target.begun()
            ids = _customers(settings, target, before, file)
            bundle = announced_bundle(settings) if model is None else own_bundle(settings, model)
            shop, at = load_shop(settings.shop), before.as_of if as_of is None and before else _instant(as_of)
            given = {"n": n, "candidates": candidates, "part": part}
            items = None
            if at is None:  # the stream's clock is in the items; else what is refused is refused before they are loaded
                items = _items(settings, console)
                at = _now(items, settings.clock)
            run = _run(shop.name, bundle, ids, before, at, form, given, settings.candidates)
            target.begin(run, ids)
            items = items or _items(settings, console)
            with console.status("encoding items"):
                make = lister(settings, items, bundle, run.as_of, run.n, run.candidates)
            workers = Workers(target, run, pa.array(ids), make, batch_size, processes)
            loaded = time.monotonic()
            made = _work(workers, target, run, console)
            found = target.finish(run)
    except (RunError, WorkerError, BundleError, LookupError, TimeoutError, ValueError, KafkaException) as error:
        raise click.ClickException(str(error)) from error
    except redis.RedisError as error:
        raise click.ClickException(f"Redis at {settings.redis_address}: {error}") from error
    used = os.times()
    done = Done(
        run=run,
        output=str(found),
        items=len(items.catalogue),
        made=made,
        loading_s=loaded - started,
        making_s=time.monotonic() - loaded,
        processor_s=used.children_user + used.children_system,
    )
    click.echo(msgspec.json.format(msgspec.json.encode(done), indent=1) if as_json else told(done))


class Done(msgspec.Struct, frozen=True):
    """A run that is complete.

    Attributes
    ----------
    output: where the lists are.
    items: in the catalogue.
    made: customers whose lists were made now.
    loading_s, making_s: seconds of either.
    processor_s: seconds of processor time that the workers used.
    """

    run: Run
    output: str
    items: int
    made: int
    loading_s: float
    making_s: float
    processor_s: float


def told(done: Done) -> str:
    """The summary for people."""
    run = done.run
    by = f"model {run.model}, as of {instant(run.as_of):%Y-%m-%d %H:%M:%S}"
    rate = f" in {done.making_s:.0f} s ({done.made / done.making_s:,.0f}/s)" if done.made else ""
    return f"lists of {run.customers:,} customers by {by}: {done.output}\n{done.made:,} of them made now{rate}"


def _work(workers: Workers, target: Output, run: Run, console: Console) -> int:
    """Work with a bar; how many customers' lists were made."""
    missing = sum(stop - start for start, stop in map(run.bounds, target.missing(run)))
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[rate]}"),
    )  # fmt: skip
    started, made = time.monotonic(), 0
    progress = workers.progress()
    next(progress, None)  # the workers are there before the bar's thread is
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("customers", total=run.customers, completed=run.customers - missing, rate="")
        for made in progress:
            rate = f"{made / (time.monotonic() - started):,.0f}/s"
            bar.update(task, completed=run.customers - missing + made, rate=rate)
    return made


def _items(settings: ServingSettings, console: Console) -> ItemsTable:
    with console.status("loading items"):
        return load_items(settings)


def _run(
    shop: str,
    bundle: Bundle,
    ids: list[str],
    before: Run | None,
    as_of: int,
    form: str | None,
    given: dict[str, int | None],
    scored: int,
) -> Run:
    """What is asked for: what is given, else what was begun, else the defaults; `scored` is the service's setting."""
    n = given["n"] or N
    numbers = {
        "n": n,
        "candidates": LIMITS.scored(n, scored).total,
        "part": min(PART, max(BATCH, -(-len(ids) // PARTS))),
    }
    if before is not None:
        numbers = {name: getattr(before, name) for name in numbers}
        form = before.format if form is None else form
    numbers |= {name: value for name, value in given.items() if value is not None}
    return Run(
        shop=shop,
        model=bundle.version,
        as_of=as_of,
        format=Format(form or Format.PARQUET),
        customers=len(ids),
        sha256=digest(ids),
        **numbers,
    )


def _now(items: ItemsTable, clock: str) -> int:
    """The instant to recommend for; by the stream's clock the end of its newest slot: nothing then lies ahead."""
    newest = items.newest_event_at if clock == "stream" else 0
    return (newest // SLOT + 1) * SLOT - 1 if newest else time.time_ns() // 1000


def _instant(at: datetime.datetime | None) -> int | None:
    return None if at is None else int(at.replace(tzinfo=datetime.UTC).timestamp()) * 1_000_000


def _customers(settings: ServingSettings, target: Output, before: Run | None, file: Path | None) -> list[str]:
    """Whose lists: those of the file, else those that the run was begun for, else all of the offline store."""
    if file is not None:
        ids = list(dict.fromkeys(read_ids(file)))
    elif before is not None:
        return target.customers()
    else:
        found: set[str] = set()
        for table in offline.parts(settings.offline, columns=["customer_id"]):
            found.update(table["customer_id"].unique().to_pylist())
        ids = sorted(found)
    if not ids:
        raise RunError("there are no customers: the offline store is empty, or the file of --customers names none")
    return ids


def read_ids(file: Path) -> Iterable[str]:
    """Ids of a Parquet or CSV file's column customer_id, or of the lines of a text file without such a header."""
    if file.suffix == ".parquet":
        return [str(name) for name in pq.read_table(file, columns=["customer_id"])["customer_id"].to_pylist()]
    with file.open(newline="", encoding="utf-8-sig") as lines:
        if "customer_id" in next(csv.reader(lines), []):
            lines.seek(0)
            return [row["customer_id"] for row in csv.DictReader(lines) if row["customer_id"]]
        lines.seek(0)
        return [name for line in lines if (name := line.rstrip("\r\n"))]
