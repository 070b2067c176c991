"""LambdaRank: gradient-boosted trees that learn, from windows of the past, what is bought next.

Each window is a cut of its own: features come from what lies before it, labels from the days after it, and the last
window ends where the past ends. How many trees and of what size is chosen on the last window with trees grown on the
earlier ones; then trees are grown on all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from trainer.evaluation.baselines.known import Int64, Known
from trainer.evaluation.baselines.pair_features import PairFeatures
from trainer.evaluation.baselines.scores import Block, Floats, Scores
from trainer.evaluation.baselines.shortlist import Bools, Shortlist, Shortlister
from trainer.evaluation.protocol import DAY, HORIZON, Purchases

Float32 = npt.NDArray[np.float32]

WINDOWS = 5
ROUNDS = 200
PATIENCE = 30
LEAVES = (15, 47)
SETTINGS: dict[str, Any] = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [10],
    "lambdarank_truncation_level": 20,
    "learning_rate": 0.06,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.6,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


class Window(NamedTuple):
    """Features come from lines with ``time <= split_at``, labels from ``split_at < time <= until_at``; microseconds."""

    split_at: int
    until_at: int


@dataclass(frozen=True)
class Examples:
    """Rows of a window, one customer's next to each other: ``float32[m, features]``, ``int8[m]``, rows a customer."""

    features: Float32
    label: npt.NDArray[np.int8]
    groups: Int64


class Chosen(NamedTuple):
    """What was chosen on the last window."""

    leaves: int
    rounds: int


def lambdarank(known: Known) -> Scores:
    """LightGBM's LambdaRank on shortlists: one model for the list over all items, one for the list of new ones.

    Raises
    ------
    ValueError
        When the past is too short for two windows, or nobody bought anything of a shortlist in one of them.
    """
    seen = [_seen(known.past, window) for window in windows(known)]
    shortlists, features = Shortlister(known), PairFeatures(known)

    def block(new: bool) -> Block:
        examples = [_examples(*each, new) for each in seen]
        model = grown(examples, chosen(examples))

        def scores(rows: Int64) -> Floats:
            pairs = shortlists.of(rows)
            pairs = pairs.where(~pairs.own if new else pairs.front)
            out = np.full((len(rows), known.shape[1]), -np.inf)
            if len(pairs.item):
                out[np.searchsorted(rows, pairs.customer), pairs.item] = model.predict(features.table(pairs))
            return out

        return scores

    return Scores(block(new=False), block(new=True))


def windows(known: Known, count: int = WINDOWS, length: int = HORIZON) -> list[Window]:
    """Return up to ``count`` windows of ``length`` microseconds, one behind the other, the last ending at the cut.

    Before the oldest lies at least one length of history.

    Raises
    ------
    ValueError
        When there is no room for two.
    """
    fitting = int((known.cut - int(known.past.time.min())) // length) - 1 if len(known.past) else 0
    if fitting < 2:
        raise ValueError(
            f"LambdaRank needs two windows of {length / DAY:g} days with as much history before them, and the past "
            f"holds {max(fitting, 0)}; choose a later cut or leave this baseline out"
        )
    return [
        Window(known.cut - (back + 1) * length, known.cut - back * length)
        for back in reversed(range(min(count, fitting)))
    ]


def chosen(examples: Sequence[Examples]) -> Chosen:
    """Choose leaves and number of trees: grown on all windows but the last, judged on the last by nDCG@10."""
    train = _data(examples[:-1])
    judged = _data(examples[-1:], train)
    found = []
    for leaves in LEAVES:
        model = lgb.train(
            SETTINGS | {"num_leaves": leaves},
            train,
            ROUNDS,
            valid_sets=[judged],
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        )
        found.append((float(model.best_score["valid_0"]["ndcg@10"]), Chosen(leaves, model.best_iteration)))
    return max(found)[1]


def grown(examples: Sequence[Examples], choice: Chosen) -> lgb.Booster:
    """Return trees grown on the windows given."""
    return lgb.train(SETTINGS | {"num_leaves": choice.leaves}, _data(examples), choice.rounds)


def _seen(past: Purchases, window: Window) -> tuple[Shortlist, Float32, Bools]:
    """Return a window's shortlists of those who bought in it, the features at its split, and what they bought."""
    known = Known.at(past.between(None, window.split_at), window.split_at)
    later = past.between(window.split_at, window.until_at)
    customer, item = _rows(known.past.customers, later.customers), _rows(known.past.items, later.items)
    customer, item = customer[later.customer], item[later.item]
    met = (customer >= 0) & (item >= 0)
    positive = np.unique(customer[met] * known.shape[1] + item[met])
    pairs = Shortlister(known).of(np.unique(customer[met]))
    label = np.isin(pairs.customer * known.shape[1] + pairs.item, positive)
    return pairs, PairFeatures(known).table(pairs), label


def _examples(pairs: Shortlist, features: Float32, label: Bools, new: bool) -> Examples:
    """Keep one side's pairs of the customers who bought any of them: the others have nothing to teach a ranker."""
    side = ~pairs.own if new else pairs.front
    side &= np.isin(pairs.customer, pairs.customer[side & label])
    if not side.any():
        raise ValueError("nobody bought anything of a shortlist in a window of the past: LambdaRank cannot be learned")
    _, groups = np.unique(pairs.customer[side], return_counts=True)
    return Examples(features[side], label[side].astype(np.int8), groups.astype(np.int64))


def _data(examples: Sequence[Examples], reference: lgb.Dataset | None = None) -> lgb.Dataset:
    return lgb.Dataset(
        np.concatenate([each.features for each in examples]),
        np.concatenate([each.label for each in examples]),
        group=np.concatenate([each.groups for each in examples]),
        reference=reference,
        params={"max_bin": SETTINGS["max_bin"], "verbosity": -1},
        free_raw_data=False,
    )


def _rows(known: list[str], ids: list[str]) -> Int64:
    """Return the place of each id among the known ones, -1 where it is none."""
    place = {name: at for at, name in enumerate(known)}
    return np.array([place.get(name, -1) for name in ids], dtype=np.int64)
