"""Take a stack down when the process it was started for is gone, however that process ended."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from deploy.stack.site import ROOT, Site
from deploy.stack.stack import Stack


@contextmanager
def guarded(stack: Stack) -> Iterator[Stack]:
    """`stack` while this block lasts and this process lives: a killed test run leaves no broker behind."""
    site = stack.site
    guard = subprocess.Popen(
        [sys.executable, "-m", "deploy.stack.guard", str(os.getpid())],
        env={**site.given, "HEADWATER_STATE": str(site.state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # the terminal's Ctrl-C is for the guarded process
        cwd=ROOT,
    )
    try:
        yield stack
    finally:
        stack.down()
        guard.terminate()
        guard.wait()


def main() -> None:
    """Wait for the end of the process whose pid is the argument, then stop HEADWATER_STATE's stack."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(sys.argv[1])).wait()
    Stack(Site.of(os.environ)).down()


if __name__ == "__main__":
    main()
