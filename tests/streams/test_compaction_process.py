"""A pass of compaction as the app has it made: by a process of its own."""

import asyncio
from pathlib import Path

import psutil
import pytest

from streams import offline
from streams.compaction_process import compact
from streams.contracts.observability import COMPACTED
from tests.streams.test_compaction import events, fill


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of nine ranges, where the process will look for it."""
    monkeypatch.setenv("HEADWATER_STATE", str(tmp_path))
    fill(tmp_path / "offline")
    return tmp_path / "offline"


def children() -> set[int]:
    """Processes of this one; there are servers among them."""
    return {child.pid for child in psutil.Process().children()}


def merged() -> float:
    return float(COMPACTED._value.get())


def test_ranges_are_merged_and_counted(store: Path) -> None:
    before, counted = events(store), merged()
    asyncio.run(compact())
    assert len(offline.commits(store)) == 2
    assert events(store) == before
    assert merged() - counted == 7


def test_a_process_that_fails_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_COMPACT_FULL_ROWS", "many")
    with pytest.raises(RuntimeError, match="compaction ended with code 1"):
        asyncio.run(compact())


def test_nobody_waits_and_the_process_ends(store: Path) -> None:
    before = children()

    async def cut_short() -> None:
        task = asyncio.create_task(compact())
        while children() == before:
            await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cut_short())
    assert children() == before
