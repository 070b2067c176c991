"""Start the local stack, or what of it is missing."""

import os
import time

import click
from rich.console import Console

from deploy.stack.addresses import addresses
from deploy.stack.site import Site
from deploy.stack.stack import Stack, StackError


@click.command("up")
@click.option("--only", default="", metavar="PARTS", help="Comma-separated parts, with all they need.")
def command(only: str) -> None:
    """Start the parts in order and wait until each is ready.

    KAFKA_BOOTSTRAP_SERVERS and REDIS_URL in the environment point the stack at services that run already.
    """
    console = Console(highlight=False, soft_wrap=True)
    site = Site.of(os.environ)
    stack = Stack(site, say=lambda sentence: console.print(sentence, markup=False))
    began = time.monotonic()
    try:
        started = stack.up([name for name in only.split(",") if name])
    except StackError as error:
        raise click.ClickException(str(error)) from None
    if started:
        took = time.monotonic() - began
        where = os.path.relpath(site.environment_file)
        console.print(f"up in {took:.0f} s: {', '.join(started)}; settings in {where}", markup=False)
    else:
        console.print("nothing to start", markup=False)
    for line in addresses(site, [condition.name for condition in stack.status() if condition.pid]):
        console.print(line, markup=False)
