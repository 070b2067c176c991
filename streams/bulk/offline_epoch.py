"""Make the events of an offline store the base of a new epoch: offsets of the old topic must not meet those of the new.

The new store is written whole beside the old one, then takes its place by two renames. A run that is killed before
the first leaves a store that the next run writes again; between the two, the next run does the second.
"""

import shutil
from pathlib import Path

import pyarrow as pa

from streams import compaction, offline
from streams.topic_identity import TopicIdentity, note_in_offline_store

_NEW, _OLD = ".next-epoch", ".last-epoch"


def put_in_place(path: Path) -> None:
    """Finish what a run that was killed had begun."""
    new, old = path.with_name(path.name + _NEW), path.with_name(path.name + _OLD)
    if old.exists() and new.exists() and not path.exists():
        new.replace(path)
    shutil.rmtree(new, ignore_errors=True)
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)


def begin_epoch(path: Path, base: pa.Table, topic: TopicIdentity) -> None:
    """Replace the store.

    Parameters
    ----------
    path: of the store; workers must not be writing to it.
    base: all events of it, as `offline_pass.relabelled` returns them.
    topic: what comes after it.
    """
    put_in_place(path)
    with compaction.locked(path, wait=True):
        _replace(path, base, topic)


def _replace(path: Path, base: pa.Table, topic: TopicIdentity) -> None:
    new, old = path.with_name(path.name + _NEW), path.with_name(path.name + _OLD)
    if base.num_rows:
        offline.write_range(new, base, offline.BACKFILL, 0, base.num_rows)
    if (path / "erasures").is_dir():
        shutil.copytree(path / "erasures", new / "erasures")
    note_in_offline_store(new, topic)
    if path.exists():
        path.replace(old)
    new.replace(path)
    shutil.rmtree(old, ignore_errors=True)
