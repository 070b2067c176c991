"""A pass of compaction in a process of its own, at a low priority. Run with `python -m streams.compaction_process`.

In a thread beside the ingest it would hold the interpreter's lock now and then, the longer the lower its priority:
events once waited 2.5 s while 170 ranges were merged.
"""

import asyncio
import os
import sys

import msgspec

from streams.compaction import Compaction, Compactor, Done
from streams.contracts.observability import COMPACTED, configure_logging
from streams.settings import Settings

PRIORITY = 15
"""Niceness: the pass is done when others don't need the processor."""


async def compact() -> None:
    """Have one pass made with this process' environment; a pass is killed where nobody waits for it any more.

    Raises
    ------
    RuntimeError: it ended before it was done.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams.compaction_process", stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"compaction ended with code {process.returncode}; its log says why")
    done = Done(**msgspec.json.decode(said))
    COMPACTED.inc(done.merged + done.swept)


def main() -> None:
    """Make one pass and print what it did as JSON."""
    os.nice(PRIORITY)
    settings = Settings()
    configure_logging("compaction", settings.log_level)
    how = Compaction(full=settings.compact_full_rows, grace_s=settings.compact_grace_seconds)
    done = Compactor(settings.offline, how).run() or Done()
    sys.stdout.buffer.write(msgspec.json.encode(done._asdict()))


if __name__ == "__main__":
    main()
