"""Show the parts of the local stack, how each is, and how far the stream is."""

import datetime
import os
import sys
from collections.abc import Iterator

import click
from rich.console import Console
from rich.table import Table

from deploy.stack.addresses import addresses
from deploy.stack.site import Site
from deploy.stack.stack import Condition, Stack
from feature_repo.redis_commands import without_password
from streams.ingest.status import IngestStatus, ingest_status
from streams.settings import Settings


@click.command("status")
def command() -> None:
    """Show part, pid, port, readiness, uptime and log; then lag, positions and owners of the interactions.

    Exits 1 unless all that should run is ready and no partition is refused.
    """
    site = Site.of(os.environ)
    conditions = Stack(site).status()
    console = Console()
    console.print(table(conditions))
    for setting in ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL"):
        if address := site.external(setting):
            click.echo(f"{setting}={without_password(address)} is not run by this stack")
    if not any(condition.wanted for condition in conditions):
        click.echo("the stack is down; `make up` starts it")
        sys.exit(1)
    for line in addresses(site, [condition.name for condition in conditions if condition.pid]):
        click.echo(line)
    stream = ingest_status(Settings())
    console.print()
    console.print(partitions(stream))
    for line in told(stream):
        click.echo(line)
    if broken := [c.name for c in conditions if c.wanted and not c.ready]:
        click.echo(f"should run and is not ready: {', '.join(broken)}; `make up` starts what is missing")
    if broken or any(each.refusal for each in stream.partitions.values()):
        sys.exit(1)


def table(conditions: list[Condition]) -> Table:
    """A row for each part."""
    shown = Table("part", "pid", "port", "ready", "up for", "log", box=None, pad_edge=False)
    for condition in conditions:
        shown.add_row(
            condition.name,
            str(condition.pid or "-"),
            str(condition.port or "-"),
            readiness(condition),
            duration(condition.uptime_s),
            os.path.relpath(condition.log),
        )
    return shown


def partitions(stream: IngestStatus) -> Table:
    """A row for each partition of the interactions."""
    shown = Table("interactions", "end", "applied", "lag", "offline", "worker", box=None, pad_edge=False)
    for partition, status in sorted(stream.partitions.items()):
        state = status.owner or "[red]none[/]"
        shown.add_row(
            str(partition),
            _number(status.end),
            _number(status.applied),
            _number(status.lag),
            _number(status.stored),
            f"[red]refused[/] ({state})" if status.refusal else state,
        )
    return shown


def told(stream: IngestStatus) -> Iterator[str]:
    """What does not fit into the table."""
    for name, why in (("Kafka", stream.kafka), ("Redis", stream.redis)):
        if why is not None:
            yield f"{name} can't be reached: {why}"
    if stream.filling is not None:
        yield stream.filling
    for why in dict.fromkeys(each.refusal.why for each in stream.partitions.values() if each.refusal):
        yield f"refused: {why}"
    if stream.topic is not None and stream.topic.epoch:
        yield f"epoch {stream.topic.epoch} of the topic"
    if stream.trigger is not None:
        at = datetime.datetime.fromtimestamp(stream.trigger.created_at / 1000, datetime.UTC)
        yield (
            f"last training trigger: {at:%Y-%m-%d %H:%M:%S} UTC, {stream.trigger.reason.value}, "
            f"{stream.trigger.interactions:,} new interactions"
        )


def readiness(condition: Condition) -> str:
    """Readiness in a word, coloured."""
    if condition.ready:
        return "[green]yes[/]"
    return "[red]no[/]" if condition.wanted else "[dim]down[/]"


def duration(seconds: float | None) -> str:
    """``1 h 02 min`` and the like."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
