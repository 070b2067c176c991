"""Stop the local stack."""

import os

import click

from deploy.stack.site import Site
from deploy.stack.stack import Stack, StackError


@click.command("down")
@click.option("--only", default="", metavar="PARTS", help="Comma-separated parts; the others keep running.")
def command(only: str) -> None:
    """Stop the parts, last started first; what they know stays in the state directory."""
    stack = Stack(Site.of(os.environ), say=click.echo)
    try:
        stopped = stack.down([name for name in only.split(",") if name])
    except StackError as error:
        raise click.ClickException(str(error)) from None
    if not stopped:
        click.echo("nothing was running")
