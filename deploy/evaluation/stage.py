"""Where a cut is judged: a stack of its own that knows everything up to the cut and nothing after it.

Its state is kept, and made anew where the code that features and models come from has changed since.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from rich.console import Console

from deploy.demo.world import World
from deploy.stack.guard import guarded
from deploy.stack.site import ROOT

STATE = ROOT / "build" / "evaluation-state"
PARTS = ("streams", "trainer", "serving")
NEVER = 1_000_000_000

CODE = ("feature_repo/**/*", "streams/**/*", "serving/*", "trainer/*")
"""What the prepared state comes out of; what only measures a model is none of it."""
_KINDS = frozenset({".py", ".sql", ".yaml", ".toml"})

PREPARED = "prepared"


@dataclass
class AtCut(World):
    """A world whose history ends at a given instant, microseconds since the epoch."""

    cut_at: int = 0

    @property
    def cut(self) -> int:
        """The last instant that the stack knows of."""
        return self.cut_at


@contextmanager
def at_cut(console: Console, source: str, cut: int, state: Path = STATE, shop: str | None = None) -> Iterator[World]:
    """Give a running stack that has seen the source up to the cut and serves a model of it; stop it afterwards.

    Parameters
    ----------
    source
        As a person types it.
    cut
        Microseconds since the epoch, inclusive.
    """
    place = state / f"{source.partition(':')[0].replace('/', '_')}-{datetime.fromtimestamp(cut // 10**6, UTC):%Y%m%d}"
    marker, wanted = place / PREPARED, f"{source} {cut} {shop} {digest()}"
    known = marker.exists() and marker.read_text() == wanted
    found = (World.at if known else World.of)(place, source, console, train_every=NEVER, shop=shop)
    world = AtCut(found.site, console, source, cut)
    with guarded(world.stack):
        world.stack.up(PARTS)
        if not known:
            world.prepare()
            marker.write_text(wanted)
        yield world


def digest(root: Path = ROOT) -> str:
    """Return a name for the code as it is: of features, streams, models, and the candidates they rank."""
    found = sha256()
    paths = {path for pattern in CODE for path in root.glob(pattern) if path.suffix in _KINDS}
    for path in sorted(paths):
        found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]
