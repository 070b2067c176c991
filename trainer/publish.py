"""From a training run to a bundle: exported, checked, gated, and there whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np

from feature_repo.encoder import Encoder
from serving.bundle import (
    ENCODER,
    ITEM_EMBEDDINGS,
    ITEMS,
    QUERY_TOWER,
    RANKER,
    TASTE,
    Bundle,
    BundleColumn,
    DataWindow,
    Faiss,
    publish,
    versions,
    write_manifest,
)
from serving.bundle import INDEX as INDEX_FILE
from trainer import checkpoint, gate, index
from trainer.candidates import candidates
from trainer.checkpoint import Trained
from trainer.examples import Tables, encoded, pair_inputs
from trainer.export import export, export_stack
from trainer.inputs import Inputs
from trainer.train import Run, parent_figures
from trainer.windows import Window
from trainer.workflow import Encoded

SAMPLE = 300
"""Rows on which ONNX is compared with Keras, and the encoder with NVTabular."""

ENCODER_TOLERANCE = 1e-4


class RejectedError(RuntimeError):
    """A model that must not go live; the message lists why."""


def next_version(bundles: Path) -> int:
    """One more than the newest bundle has."""
    return max(versions(bundles), default=0) + 1


def bundle(run: Run, inputs: Inputs, state: Path, trigger: str | None = None) -> Bundle:
    """Export, check and publish a run's model as the next version, its checkpoint first.

    A crash at any point leaves the bundles as they were or with one more, whole. Raises RejectedError where the gate
    says no, ExportError where a graph does not compute what Keras does.
    """
    bundles, checkpoints = state / "bundles", state / "checkpoints"
    bundles.mkdir(parents=True, exist_ok=True)
    version = next_version(bundles)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=bundles))
    try:
        trained = run.trained
        faiss, figures = _write_files(run, inputs, staging)
        trained.state = msgspec.structs.replace(trained.state, figures=trained.state.figures | figures)
        objections = gate.objections(trained.state.figures, parent_figures(trained.state))
        if objections:
            raise RejectedError(f"version {version} must not go live: {'; '.join(objections)}")
        write_manifest(
            staging,
            version=version,
            shop=inputs.shop.name,
            created_at=time.time_ns() // 1000,
            columns=[BundleColumn(c.name, c.group, c.kind) for c in trained.state.columns],
            data_window=DataWindow(trained.state.from_at, trained.state.until_at, trained.state.interactions),
            faiss=faiss,
            parent=trained.parent,
            trigger=trigger,
            metrics={n: v for n, v in trained.state.figures.items() if np.isfinite(v)},
        )
        checkpoint.save(trained, checkpoints, version)
        return publish(staging, bundles)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def clear_staging(bundles: Path) -> None:
    """Remove what a crashed run left behind; only for the one process that trains."""
    for staging in bundles.glob(".staging-*"):
        shutil.rmtree(staging, ignore_errors=True)


def _write_files(run: Run, inputs: Inputs, staging: Path) -> tuple[Faiss, dict[str, float]]:
    trained, present = run
    tables = encoded(trained.workflow, present)
    sample = _sample(trained, inputs, present, tables)
    figures = {
        "encoder_difference": _check_encoder(trained, present, tables),
        "query_tower_difference": export(
            trained.tower.query_function,
            "embedding",
            staging / QUERY_TOWER,
            _head(tables.customers),
        ),
        "ranker_difference": export_stack(trained.stack, staging / RANKER, sample),
    }
    embeddings = trained.tower.items(tables.items)
    np.save(staging / ITEM_EMBEDDINGS, embeddings, allow_pickle=False)
    np.save(staging / TASTE, present.taste.tables(len(inputs.catalogue)), allow_pickle=False)
    (staging / ITEMS).write_bytes(msgspec.json.encode(inputs.catalogue.item_ids))
    (staging / ENCODER).write_bytes(trained.workflow.spec.to_json())
    faiss = index.write(embeddings, trained.tower.customers(_head(tables.customers)), staging / INDEX_FILE)
    return faiss, figures | {"faiss_recall_at_100": faiss.recall_at_100}


def _head(rows: Encoded) -> Encoded:
    return Encoded(rows.codes[:SAMPLE], rows.numbers[:SAMPLE])


def _sample(trained: Trained, inputs: Inputs, present: Window, tables: Tables) -> Encoded:
    """Rows as serving will send them: candidates of a customer or two."""
    known = np.flatnonzero(present.known)[:2]
    pairs = candidates(present, inputs.catalogue.keys, known, None)
    pair = pair_inputs(inputs, trained.workflow, present, pairs)
    rows = slice(0, SAMPLE)
    who, what = pairs.customer[rows], pairs.item[rows]
    pair = Encoded(pair.codes[rows], pair.numbers[rows])
    sides = tables.customers.take(who), tables.items.take(what), pair, tables.requests.take(who)
    return Encoded(
        np.concatenate([side.codes for side in sides], axis=1),
        np.concatenate([side.numbers for side in sides], axis=1),
    )


def _check_encoder(trained: Trained, present: Window, tables: Tables) -> float:
    """The encoder as serving will have it against NVTabular: codes equal and within the tables, numbers close."""
    encoder = Encoder(trained.workflow.spec)
    worst = 0.0
    for group, columns, wanted in (
        ("customer", present.customers, tables.customers),
        ("item", present.items, tables.items),
        ("request", present.requests, tables.requests),
    ):
        found = Encoded(*encoder.encode({n: v[:SAMPLE] for n, v in columns.items()}, group))
        expected = _head(wanted)
        if not np.array_equal(found.codes, expected.codes):
            raise RejectedError(f"the encoder gives other {group} codes than NVTabular")
        worst = max(worst, float(np.abs(found.numbers - expected.numbers).max(initial=0.0)))
        _check_range(trained, group, wanted)
    if worst > ENCODER_TOLERANCE:
        raise RejectedError(f"the encoder and NVTabular differ by {worst}; at most {ENCODER_TOLERANCE} is allowed")
    return worst


def _check_range(trained: Trained, group: str, rows: Encoded) -> None:
    own = [c for c in trained.workflow.spec.categorical if c.group == group]
    for place, column in enumerate(own):
        most = int(rows.codes[:, place].max(initial=0))
        if most >= trained.state.capacities[column.vocabulary]:
            raise RejectedError(
                f"column {column.name}: code {most} is beyond the table's "
                f"{trained.state.capacities[column.vocabulary]} rows"
            )
