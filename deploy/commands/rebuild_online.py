"""Fill the online store again from the changelogs or the offline store."""

from collections.abc import Callable

import click
import redis
from confluent_kafka import KafkaException
from rich.console import Console

from deploy.commands.backfill import bars
from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import connect
from feature_repo.shop import load_shop
from streams.bulk.backfill import BackfillError, Progress, Stores, ends
from streams.bulk.rebuild import SOURCES, Rebuild, Summary
from streams.bulk.rebuilt import CantRebuildError
from streams.bulk.restore_upserts import restore_upserts
from streams.catalogue_feed import CatalogueFeed
from streams.contracts.compacted import CompactedTable
from streams.ingest.refusals import accept_loss
from streams.ingest.service import make_producer, partitions_of
from streams.lease import HeldElsewhereError
from streams.sender import Sender
from streams.settings import Settings


@click.command("rebuild-online")
@click.option(
    "--from", "source", type=click.Choice(SOURCES), default="auto", show_default=True,
    help="auto takes the changelogs where they are surely whole, else the offline store.",
)  # fmt: skip
@click.option(
    "--new-epoch", is_flag=True,
    help="The topic of interactions was made anew or has more partitions: make what there is the base under it.",
)  # fmt: skip
@click.option(
    "--accept-loss", is_flag=True,
    help="Rebuild nothing; only accept that records have left the topic before they were read.",
)  # fmt: skip
def command(source: str, new_epoch: bool, accept_loss: bool) -> None:
    """Fill Redis again after it was emptied, set back too far, or belongs to an older topic.

    Everything that Headwater keeps in Redis is removed first and written anew; the stream goes on where that ends.
    Workers may be running: they wait, and take up by themselves. Requests are answered as fallbacks meanwhile.

    \b
    headwater rebuild-online
    headwater rebuild-online --from offline
    headwater rebuild-online --new-epoch
    """
    settings = Settings()
    try:
        if accept_loss:
            for line in accepted(settings):
                click.echo(line)
            return
        with bars(Console(stderr=True)) as report:
            summary = run(settings, source, new_epoch, report)
    except (BackfillError, CantRebuildError, HeldElsewhereError, KafkaException, LookupError, TimeoutError) as error:
        raise click.ClickException(str(error)) from error
    except redis.ConnectionError as error:
        raise click.ClickException(f"no Redis answers at {settings.redis_address}: {error}") from error
    for line in told(summary):
        click.echo(line)


def stores_of(settings: Settings) -> Stores:
    """Connect to the stores."""
    return Stores(
        OnlineStore(connect(settings.redis_url)),
        Sender(make_producer(settings)),
        settings.topics,
        settings.kafka_config(),
        settings.offline,
        partitions_of(settings, settings.topics.interactions.name),
    )


def run(
    settings: Settings,
    source: str = "auto",
    new_epoch: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Rebuild; see `streams.bulk.rebuild`."""
    shop, stores = load_shop(settings.shop), stores_of(settings)
    feed = CatalogueFeed(CompactedTable(settings.topics.items.name, settings.kafka_config()), shop)
    try:
        report(Progress("catalogue", 0, 1))
        feed.load()
        report(Progress("catalogue", 1, 1))
    finally:
        feed.close()
    rebuild = Rebuild(stores, shop, feed.catalogue, lambda: restore_upserts(settings, shop, report), report)
    return rebuild.run(source, new_epoch)


def accepted(settings: Settings) -> list[str]:
    """Accept what is gone up to now; say so."""
    stores = stores_of(settings)
    low, high = ends(stores)
    accept_loss(stores.client, high)
    return [
        f"partition {partition}: that there is nothing before offset {low[partition]} is accepted"
        for partition in sorted(low)
    ]


def told(summary: Summary) -> list[str]:
    """The summary for people."""
    rows = summary.customers + summary.items + summary.records
    where = ", ".join(f"{partition}: {at:,}" for partition, at in sorted(summary.positions.items()))
    lines = [
        f"{summary.customers:,} customers, {summary.items:,} items and {summary.records:,} records from the "
        f"{summary.source} in {summary.seconds:.1f} s ({rows / max(summary.seconds, 1e-9):,.0f} rows/s)",
        f"the stream goes on at {where}",
    ]
    if summary.refused is not None:
        lines.insert(0, f"not from where it is taken otherwise: {summary.refused}")
    if summary.epoch:
        lines.append(f"epoch {summary.epoch} of the topic")
    return lines
