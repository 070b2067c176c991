"""Where similar items are measured: a stack that knows catalogue and history, and nothing of other benchmarks.

No model is trained: no answer about an item asks one. Prepared once and kept, vectors and neighbours included.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console

from benchmarks.stage import NEVER, STATE
from deploy.demo.world import DAY, World
from streams import offline

SHOP = "complete_journey"


@dataclass
class Past(World):
    """The shop as it was so many days before protocol A's cut."""

    days_before: int = 0

    @property
    def cut(self) -> int:
        """Until when its history is known, microseconds since the epoch."""
        return self.judged_from - self.days_before * DAY

    @property
    def judged_from(self) -> int:
        """Protocol A's cut: the days after it are what things are judged on."""
        return super().cut


@contextmanager
def history(console: Console, parts: Sequence[str], days_before: int = 0) -> Iterator[Past]:
    """Give the named parts and all they need, running on the shop's past; stop them afterwards."""
    state = STATE / (f"similar-{days_before}-days-before" if days_before else "similar")
    made = World.at(state, SHOP, console, train_every=NEVER)
    world = Past(made.site, console, SHOP, days_before)
    try:
        world.stack.up(parts)
        if not offline.commits(world.site.state / "offline"):
            world.publish_catalogue()
            world.backfill()
        yield world
    finally:
        world.stack.down()
