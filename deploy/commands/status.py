"""Show the parts of the local stack and how each is."""

import os
import sys

import click
from rich.console import Console
from rich.table import Table

from deploy.stack.site import Site
from deploy.stack.stack import Condition, Stack


@click.command("status")
def command() -> None:
    """Show part, pid, port, readiness, uptime and log; exit 1 unless all that should run is ready."""
    site = Site.of(os.environ)
    conditions = Stack(site).status()
    Console().print(table(conditions))
    for setting in ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL"):
        if address := site.external(setting):
            click.echo(f"{setting}={address} is not run by this stack")
    if not any(condition.wanted for condition in conditions):
        click.echo("the stack is down; `make up` starts it")
        sys.exit(1)
    if broken := [c.name for c in conditions if c.wanted and not c.ready]:
        click.echo(f"should run and is not ready: {', '.join(broken)}; `make up` starts what is missing")
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
