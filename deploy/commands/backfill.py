"""Load a history in bulk: the same features as by streaming, in seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import redis
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from deploy.commands.replay import _cluster, _moment
from feature_repo.catalogue import Catalogue
from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import connect
from feature_repo.shop import Shop, load_shop
from streams.bulk.backfill import Backfill, BackfillError, Progress, Stores, Summary, guarded
from streams.bulk.reset import reset
from streams.catalogue_feed import catalogue_item
from streams.ingest.service import make_producer, partitions_of
from streams.publisher import DeliveryError
from streams.replay import Plan, open_checkpoint, replay
from streams.sender import Sender
from streams.settings import Settings
from streams.sources import Source, open_source
from streams.sources.open import EXAMPLES


@click.command("backfill")
@click.option("--source", "name", default="complete_journey", show_default=True, help=f"One of {EXAMPLES}.")
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file that says which column of FILE is what (docs/sources.md).",
)
@click.option("--until", metavar="TIME", help="Only events before then: 2017-12-01, or -20d before the last event.")
@click.option("--replace", is_flag=True, help="Forget what is there first; the stream begins at its present end.")
def command(name: str, mapping: Path | None, until: str | None, replace: bool) -> None:
    """Publish items and customers, and write the history of interactions straight into all stores.

    The stream takes over where the history ends. Workers may be running; they pause meanwhile.

    \b
    headwater backfill --until=-20d
    headwater backfill --source sales.csv --mapping sales.toml
    """
    settings = Settings()
    console = Console(stderr=True)
    try:
        source = open_source(name, mapping)
        stop = _moment(until, source, "--until")
        _publish_catalogue(source, settings)
        with bars(console) as report:
            summary = run(source, stop, settings, replacing=replace, report=report)
    except (BackfillError, DeliveryError, FileNotFoundError, KafkaException, LookupError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except redis.ConnectionError as error:
        raise click.ClickException(f"no Redis answers at {settings.redis_address}: {error}") from error
    for line in told(summary):
        click.echo(line)


def run(
    source: Source,
    until: int | None,
    settings: Settings,
    *,
    replacing: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Write the source's interactions before `until` (microseconds since the epoch) into all stores.

    Raises
    ------
    BackfillError: there is something already, or another backfill is under way.
    """
    shop = load_shop(settings.shop)
    stores = Stores(
        OnlineStore(connect(settings.redis_url)),
        Sender(make_producer(settings)),
        settings.topics,
        settings.kafka_config(),
        settings.offline,
        partitions_of(settings, settings.topics.interactions.name),
    )
    with guarded(stores, replacing, lambda: reset(stores, shop)) as stream:
        report(Progress("loading", 0, 1))
        table = source.interactions_table(None, until, currency_exponent=shop.currency_exponent)
        report(Progress("loading", 1, 1))
        newest = int(table["time"].to_numpy().max(initial=0))
        backfill = Backfill(stores, shop, _catalogue(source, shop), report)
        return backfill.run(table, source.name, until if until is not None else newest + 1, stream)


def _catalogue(source: Source, shop: Shop) -> Catalogue:
    catalogue = Catalogue(shop.item_attributes)
    catalogue.upsert(catalogue_item(item, shop.currency_exponent) for item in source.items())
    return catalogue


def _publish_catalogue(source: Source, settings: Settings) -> None:
    plan = Plan(what=("items", "customers"))
    replay(source, settings, plan, open_checkpoint(source, settings, plan, _cluster(settings, plan)))


def told(summary: Summary) -> list[str]:
    """The summary for people."""
    lines = [
        f"{summary.accepted:,} events of {summary.customers:,} customers and {summary.items:,} items in "
        f"{summary.seconds:.0f} s ({summary.rows / max(summary.seconds, 1e-9):,.0f}/s)"
    ]
    if summary.duplicates:
        lines.append(f"{summary.duplicates:,} events with an id seen before left out")
    return lines


@contextmanager
def bars(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Show a bar for each step that is reported."""
    tasks: dict[str, TaskID] = {}
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console) as shown:

        def report(progress: Progress) -> None:
            if progress.step not in tasks:
                tasks[progress.step] = shown.add_task(progress.step)
            shown.update(tasks[progress.step], completed=progress.done, total=progress.total or None)

        yield report
