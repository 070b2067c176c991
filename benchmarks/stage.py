"""Where benchmarks run: a stack of their own, prepared once and kept, so that only the first run is slow."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console

from deploy.demo.world import World
from deploy.stack.site import ROOT

STATE = ROOT / "build" / "bench-state"
NEVER = 1_000_000_000


ANSWERING = ("streams", "trainer", "serving")
"""What it takes to have a model and to answer over Kafka."""


@contextmanager
def shop(
    console: Console,
    name: str = "complete_journey",
    parts: Sequence[str] = ANSWERING,
    given: Mapping[str, str] | None = None,
) -> Iterator[World]:
    """Give a running stack that knows the year up to the cut and serves a model of it; stop it afterwards.

    Parameters
    ----------
    parts
        What is to run, with all it needs; nothing else does, for it would share the processors.
    given
        Added to the environment of the parts.
    """
    world = World.at(STATE / name, name, console, train_every=NEVER, given=given)
    try:
        world.stack.up(parts)
        world.prepare()
        yield world
    finally:
        world.stack.down()


@contextmanager
def empty(
    console: Console, name: str = "synthetic", parts: Sequence[str] = ("streams",), source: str | None = None
) -> Iterator[World]:
    """Give the named parts and all they need, running, with nothing in them; stop them afterwards.

    Parameters
    ----------
    name
        Of the shop, and of its data unless `source` is given.
    """
    world = World.of(STATE / f"empty-{name}", source or name, console, train_every=NEVER, shop=name)
    try:
        world.stack.up(list(parts))
        yield world
    finally:
        world.stack.down()
