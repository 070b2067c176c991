"""Files that are there whole or not at all."""

import os
from pathlib import Path
from typing import Any

_PROBED_AT_ONCE = 1 << 20


def publish(target: Path, content: Any) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut.

    Parameters
    ----------
    content: bytes, or what has their buffer.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)  # on a full disk half a draft would keep others from having room
        raise
    draft.replace(target)


def probe(directory: Path, size: int) -> None:
    """Write so many bytes into a directory and remove them again.

    Raises
    ------
    OSError: it does not take them; names the directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    draft = directory / f".probe.{os.getpid()}.draft"
    try:
        with draft.open("wb") as file:
            for _ in range(-(-size // _PROBED_AT_ONCE)):
                file.write(bytes(_PROBED_AT_ONCE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, f"{directory} does not take {size:,} bytes: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
