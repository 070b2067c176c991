"""Reliability: does what is said to be bought one time in five come to be bought one time in five?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.evaluation.metrics import Lists
from trainer.evaluation.protocol import Truth

BINS = 10

Scores = Mapping[str, Sequence[float]]
"""Of each item of a customer's list: the probability that it is bought."""


def reliability(lists: Lists, scores: Scores, truth: Truth, bins: int = BINS) -> dict[str, Any]:
    """Compare probabilities with what came, over all places of the lists of the customers of the truth.

    Returns
    -------
    ``said`` and ``came``: for each of up to ``bins`` groups of the same size, least likely first, the mean probability
    and the share that was bought; ``error``: the mean distance of the two (expected calibration error); ``places``.

    Raises
    ------
    ValueError
        When a list and its scores differ in length.
    """
    asked = [customer for customer in sorted(truth) if customer in lists]
    said = np.array([score for customer in asked for score in scores[customer]])
    came = np.array([item in truth[customer] for customer in asked for item in lists[customer]])
    if len(said) != len(came):
        raise ValueError(f"{len(came)} items have {len(said)} scores")
    groups = [rows for rows in np.array_split(np.argsort(said, kind="stable"), bins) if len(rows)]
    means = [(float(said[rows].mean()), float(came[rows].mean())) for rows in groups]
    apart = [abs(mean - share) * len(rows) for (mean, share), rows in zip(means, groups, strict=True)]
    return {
        "said": [mean for mean, _ in means],
        "came": [share for _, share in means],
        "error": sum(apart) / len(said) if len(said) else None,
        "places": len(said),
    }
