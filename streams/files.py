"""Files that are there whole or not at all."""

import os
from pathlib import Path
from typing import Any


def publish(target: Path, content: Any) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut.

    Parameters
    ----------
    content: bytes, or what has their buffer.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
