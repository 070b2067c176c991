"""Held-out customers: a fixed share that the ranker never trains on, so that its figures mean something."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.calibration import Calibration, calibration_error, fitted
from trainer.candidates import Retriever, candidates
from trainer.examples import Examples, Tables, encoded, examples
from trainer.inputs import Inputs
from trainer.metrics import auc, log_loss, ranking
from trainer.recipe import Recipe
from trainer.stack import Stack
from trainer.windows import Int64, Window
from trainer.workflow import Workflow

AT_MOST = 2_000


def is_held_out(customer_ids: list[str], share: float) -> NDArray[np.bool_]:
    """bool[n]: decided by the id alone, so a customer stays on its side for ever."""
    threshold = int(share * 2**32)
    draws = (
        int.from_bytes(blake2b(c.encode(), digest_size=4, person=b"held out").digest(), "big") for c in customer_ids
    )
    return np.fromiter((draw < threshold for draw in draws), dtype=bool, count=len(customer_ids))


class Exam(NamedTuple):
    """All candidates of held-out customers in one window, as serving would have scored them.

    truth: int64[customers], how many items each of these bought; 0 for everybody else.
    """

    tables: Tables
    rows: Examples
    truth: Int64


def exam(inputs: Inputs, workflow: Workflow, window: Window, recipe: Recipe, retriever: Retriever | None) -> Exam:
    """Set the exam; without held-out customers in the window it has no rows."""
    apart = is_held_out(inputs.log.customer_ids, recipe.held_out)
    who = np.unique(window.positives.customer)
    who = who[apart[who]][:AT_MOST]
    pairs = candidates(window, inputs.catalogue.keys, who, retriever)
    width = len(inputs.catalogue)
    label = np.isin(pairs.keys(width), window.positives.keys(width)).astype(np.float32)
    counted = window.positives.customer[np.isin(window.positives.customer, who)]
    truth = np.bincount(counted, minlength=len(inputs.log.customer_ids))
    return Exam(encoded(workflow, window), examples(inputs, workflow, window, pairs, label, 0), truth)


def calibrated(stack: Stack, paper: Exam) -> Calibration:
    """What makes probabilities of the stack's scores, by the exam; `stack` as it is before."""
    return fitted(paper.rows.label, stack.predict(paper.tables, paper.rows))


def figures(stack: Stack, paper: Exam) -> dict[str, float]:
    """How what is served does in the exam; NaN where there was nobody to ask."""
    score = stack.predict(paper.tables, paper.rows)
    label = paper.rows.label
    found = ranking(paper.rows.customer, label, score, paper.truth)
    return {
        "auc": auc(label, score),
        "log_loss": log_loss(label, score),
        "calibration_error": calibration_error(label, score),
        "ndcg_at_10": found.ndcg,
        "hit_at_10": found.hit,
        "candidate_recall": found.recall,
        "exam_positives": float(label.sum()),
    }
