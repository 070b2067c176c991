"""Checkpoints: all that an incremental run continues from, in one directory that appears whole or not at all.

::

    <checkpoints>/v000001/state.json        recipe, vocabularies, moments, capacities, figures
                         /vocabularies/     the Parquet files that Categorify reads
                         /two_tower.*       tf.train.Checkpoint: variables and optimizer
                         /ranker.*
                         /trees.txt         the trees on the ranker, empty without
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import tensorflow as tf

from feature_repo.columns import Column
from serving.bundle import directory_name, versions
from trainer.calibration import UNCALIBRATED, Calibration
from trainer.growth import Trainable
from trainer.model_schema import Capacities
from trainer.ranker import Ranker
from trainer.recipe import Recipe
from trainer.stack import Stack, Trees
from trainer.two_tower import TwoTower
from trainer.vocabulary import Vocabularies
from trainer.workflow import Moments, Workflow

STATE = "state.json"
TREES = "trees.txt"


class CheckpointError(ValueError):
    """A checkpoint that can't be continued from; the message says why and that a full training will do."""


class State(msgspec.Struct, frozen=True):
    """Everything of a trained model but its variables.

    Attributes
    ----------
    until_at
        The instant that the model knows the shop up to, microseconds since the epoch.
    from_at
        Split of the oldest window it learned from.
    figures
        By name, as in the bundle's manifest.
    """

    columns: tuple[Column, ...]
    recipe: Recipe
    vocabularies: Vocabularies
    moments: Moments
    capacities: Capacities
    from_at: int
    until_at: int
    interactions: int
    figures: dict[str, float]
    calibration: Calibration = UNCALIBRATED


@dataclass
class Trained:
    """A model in memory: its state and the objects made from it. `version` is None until it is saved."""

    state: State
    workflow: Workflow
    tower: TwoTower
    ranker: Ranker
    parent: int | None = None
    version: int | None = None
    trees: Trees | None = None

    @property
    def stack(self) -> Stack:
        """What is served."""
        return Stack(self.ranker, self.trees, self.state.calibration)


def build(state: State, vocabulary_directory: Path) -> Trained:
    """Fresh models for a state, with all variables made from the recipe's seed but not trained."""
    tf.random.set_seed(state.recipe.seed)
    workflow = Workflow(state.columns, state.vocabularies, state.moments, vocabulary_directory)
    tower = TwoTower(workflow.spec, state.capacities, state.recipe)
    return Trained(state, workflow, tower, Ranker(workflow.spec, state.capacities, state.recipe))


def save(trained: Trained, checkpoints: Path, version: int) -> Path:
    """Write a checkpoint and publish it under its version by rename; return its directory.

    One that is there under this number is from a run that never published its bundle, and is replaced.
    """
    checkpoints.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=checkpoints))
    try:
        trained.state.vocabularies.write(staging / "vocabularies", trained.state.columns)
        for name, part in _parts(trained).items():
            tf.train.Checkpoint(model=part.model, optimizer=part.optimizer).write(str(staging / name))
        (staging / TREES).write_text(trained.trees.text if trained.trees else "", encoding="utf-8")
        (staging / STATE).write_bytes(msgspec.json.encode(trained.state))
        for file in staging.rglob("*"):
            _sync(file)
        _sync(staging)
        target = checkpoints / directory_name(version)
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)
        _sync(checkpoints)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    trained.version = version
    return target


def load(checkpoints: Path, version: int, columns: Sequence[Column], workplace: Path) -> Trained:
    """Read a checkpoint: variables, optimizers and all.

    columns: those of the shop now; workplace: a new directory for this process's vocabulary files. Raises
    CheckpointError where it can't be read or was made for other columns.
    """
    path = checkpoints / directory_name(version)
    try:
        state = msgspec.json.decode((path / STATE).read_bytes(), type=State)
        trees = (path / TREES).read_text(encoding="utf-8")
        grown = Trees.of(trees) if trees else None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise CheckpointError(f"checkpoint {path} can't be read ({error}): train in full") from error
    if state.columns != tuple(columns):
        raise CheckpointError(f"checkpoint {path} was made for other columns than the shop has now: train in full")
    trained = build(state, workplace)
    trained.trees = grown
    for name, part in _parts(trained).items():
        try:
            reader = tf.train.Checkpoint(model=part.model, optimizer=part.optimizer)
            reader.read(str(path / name)).assert_existing_objects_matched()
        except (tf.errors.OpError, AssertionError, ValueError) as error:
            raise CheckpointError(f"checkpoint {path}: {name} doesn't fit ({error}): train in full") from error
    trained.version = version
    return trained


def newest(checkpoints: Path, bundles: Path) -> int | None:
    """The newest version that has both a checkpoint and a published bundle, None if there is none."""
    both = set(versions(checkpoints)) & set(versions(bundles))
    return max(both, default=None)


def clear(checkpoints: Path, keep: int = 2) -> None:
    """Remove all but the newest checkpoints, and what crashed runs left behind."""
    for version in versions(checkpoints)[:-keep]:
        shutil.rmtree(checkpoints / directory_name(version))
    for staging in checkpoints.glob(".staging-*"):
        shutil.rmtree(staging, ignore_errors=True)


def _parts(trained: Trained) -> dict[str, Trainable]:
    return {"two_tower": trained.tower, "ranker": trained.ranker}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
