"""Show what a customer bought and what is recommended now."""

from __future__ import annotations

import datetime
import sys

import click
import msgspec
from confluent_kafka import KafkaException
from redis import RedisError
from rich.console import Console
from rich.table import Table

from feature_repo.catalogue import Catalogue
from feature_repo.online_store import OnlineStore
from feature_repo.redis_commands import connect
from feature_repo.shop import load_shop
from serving.client import RecommendationClient
from serving.customers import CustomerReader
from serving.items_follower import catalogue_changes
from serving.past_purchases import PastPurchase, past_purchases
from streams.contracts.compacted import CompactedTable
from streams.contracts.events import instant
from streams.contracts.requests import RecommendationRequest, Reply, Status
from streams.settings import Settings

SHOWN_PURCHASES = 10


@click.command("recommend")
@click.argument("customer")
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(1, 200), help="How many items.")
@click.option(
    "--as-of",
    metavar="INSTANT",
    help="Answer as if it were then: 2024-05-01T12:00:00Z. Without a zone: UTC.",
)
@click.option("--exclude-purchased", is_flag=True, help="Only items the customer has not bought before.")
@click.option("--category", "categories", multiple=True, help="Only this category; may be repeated.")
@click.option(
    "--context",
    multiple=True,
    metavar="NAME=VALUE",
    callback=lambda _, __, told: _context(told),
    help="Where and how it is asked, an input of the model: store=330; may be repeated.",
)
@click.option("--diversity", default=0.0, type=click.FloatRange(0, 1), help="0 to 1: how unlike each other items be.")
@click.option("--novelty", default=0.0, type=click.FloatRange(0, 1), help="0 to 1: the share never bought, at least.")
@click.option("--explain", is_flag=True, help="With --json: why each item is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: purchases and reply.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait for the reply.")
def command(
    customer: str,
    count: int,
    as_of: str | None,
    exclude_purchased: bool,
    categories: tuple[str, ...],
    context: dict[str, str],
    diversity: float,
    novelty: float,
    explain: bool,
    as_json: bool,
    timeout: float,
) -> None:
    """Ask the running service for CUSTOMER over Kafka and print what it answers."""
    settings = Settings()
    request = RecommendationRequest(
        customer_id=customer,
        n=count,
        as_of=_instant(as_of),
        exclude_purchased=exclude_purchased,
        categories=list(categories),
        context=context,
        diversity=diversity,
        novelty=novelty,
        explain=explain,
        deadline_ms=int(timeout * 1000),
    )
    try:
        with RecommendationClient(settings, timeout_s=timeout) as client:
            received = client.ask(request)
        purchases = _purchases(settings, customer)
    except (TimeoutError, LookupError, KafkaException, RedisError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        found = {"purchases": [each._asdict() for each in purchases], "reply": received.reply}
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1))
    else:
        console = Console()
        console.print(purchases_table(customer, purchases))
        console.print(reply_table(received.reply, {each.item_id for each in purchases}))
        console.print(summary(received.reply, received.milliseconds))
    sys.exit(1 if received.reply.status is Status.ERROR else 0)


def _context(told: tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in told]
    wrong = [name + sign for name, sign, _ in pairs if not (name and sign)]
    if wrong:
        raise click.BadParameter(f"{wrong[0]!r} is no NAME=VALUE, like store=330")
    return {name: value for name, _, value in pairs}


def purchases_table(customer: str, purchases: list[PastPurchase]) -> Table:
    """The latest purchases as a table."""
    more = len(purchases) - SHOWN_PURCHASES
    table = Table(
        "item",
        "name",
        "times",
        "last bought",
        title=f"Customer {customer} bought",
        caption=f"and {more} items before" if more > 0 else None,
        title_justify="left",
    )
    for each in purchases[:SHOWN_PURCHASES]:
        table.add_row(each.item_id, each.name, str(each.lines), f"{instant(each.last_at):%Y-%m-%d %H:%M}")
    return table


def reply_table(reply: Reply, bought: set[str]) -> Table:
    """The recommended items as a table."""
    table = Table(
        "", "item", "name", "score", "proposed by", "bought before", title="Recommended", title_justify="left"
    )
    for place, item in enumerate(reply.items, start=1):
        table.add_row(
            str(place),
            item.item_id,
            item.name or "",
            f"{item.score:.4f}",
            ", ".join(source.value.replace("_", "-") for source in item.sources),
            "yes" if item.item_id in bought else "",
        )
    return table


def summary(reply: Reply, milliseconds: float) -> str:
    """Who answered, for when, how far it saw, and how long it took; a line each."""
    if reply.error is not None:
        return f"[red]error[/] {reply.error.code}: {reply.error.message}"
    by = f"model {reply.model_version}" if reply.model_version is not None else "no model"
    reason = f" [yellow]({reply.reason})[/]" if reply.reason else ""
    lines = [f"[bold]{reply.status.value}[/]{reason} by {by}, as of {_time(reply.as_of)}"]
    if reply.seen is not None:
        position = f"partition {reply.seen.partition}, offset {reply.seen.offset}"
        lines.append(f"saw this customer's events up to {_time(reply.seen.last_event_at)} ({position})")
    t = reply.timings_ms
    stages = " + ".join(f"{name} {getattr(t, name):.1f}" for name in ("features", "retrieve", "candidates", "score"))
    lines.append(f"{milliseconds:.1f} ms from request to reply; in the service {t.total:.1f} ms: {stages}")
    return "\n".join(lines)


def _time(milliseconds: int | None) -> str:
    return "-" if milliseconds is None else f"{instant(milliseconds * 1000):%Y-%m-%d %H:%M:%S}"


def _instant(text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no instant: write 2024-05-01T12:00:00Z", param_hint="--as-of") from error
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _purchases(settings: Settings, customer: str) -> list[PastPurchase]:
    shop = load_shop(settings.shop)
    reader = CustomerReader(OnlineStore(connect(settings.redis_url)), shop)
    return past_purchases(reader.read([customer]), _names(settings), 0)


def _names(settings: Settings) -> Catalogue:
    """Every item's id and name: those with a record, and those only known from being bought."""
    catalogue = Catalogue(())
    topics, config = settings.topics, settings.kafka_config()
    with CompactedTable(topics.features_items.name, config) as features:
        catalogue.ensure({record.key.decode().partition(":")[2] for record in features.load()})
    with CompactedTable(topics.items.name, config) as items:
        catalogue.upsert(item for item in catalogue_changes(items.load(), 0).values() if item is not None)
    return catalogue
