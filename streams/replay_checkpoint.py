"""Where a replay stands, in a file that is replaced whole."""

import hashlib
import os
from pathlib import Path

import msgspec


class _File(msgspec.Struct):
    items: int = 0
    customers: int = 0
    interactions: int = 0


class Checkpoint:
    """Records acknowledged by Kafka, by kind, counted from the start of the selection.

    Parameters
    ----------
    path: None keeps it in memory only.

    Raises
    ------
    ValueError: the file is damaged; says what to do.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        content = _File()
        if path is not None and path.exists():
            try:
                content = msgspec.json.decode(path.read_bytes(), type=_File)
            except msgspec.MsgspecError as error:
                raise ValueError(f"checkpoint {path} can't be read ({error}); start over with --restart") from error
        self.done: dict[str, int] = msgspec.structs.asdict(content)

    def reset(self) -> None:
        """Forget all progress."""
        self.done = dict.fromkeys(self.done, 0)

    def save(self) -> None:
        """Write it, so that a crash leaves the old or the new one."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(self.done))
        os.replace(draft, self.path)


def checkpoint_file(directory: Path, name: str, *selection: str) -> Path:
    """The file for a source of this name and whatever else tells one selection from another."""
    digest = hashlib.sha256("\0".join(selection).encode()).hexdigest()[:12]
    return directory / f"replay-{name}-{digest}.json"
