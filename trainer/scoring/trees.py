"""Random Forest and Gradient Boosting by scikit-learn, over the matrices that the networks get.

Codes count as numbers: the more frequent a value, the lower its code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from trainer.scoring.dataset import Parts, Rows
from trainer.scoring.plan import Effort


class Trees:
    """A classifier of scikit-learn's."""

    def __init__(self, classifier: Any) -> None:
        self._classifier = classifier

    def fit(self, parts: Parts) -> None:
        """Learn from the rows to learn from; those that networks watch while they learn are no use here."""
        self._classifier.fit(_matrix(parts.train), parts.train.label)

    def predict(self, rows: Rows) -> NDArray[np.float32]:
        """float32[m]: the probability of each row."""
        probability: NDArray[np.float32] = self._classifier.predict_proba(_matrix(rows))[:, 1].astype(np.float32)
        return probability

    def importances(self) -> list[float] | None:
        """Of each column its share of the impurity that all splits took away; None where the model has none."""
        found = getattr(self._classifier, "feature_importances_", None)
        return None if found is None else [float(share) for share in found]


def random_forest(effort: Effort, seed: int) -> Trees:
    """The thesis's baseline."""
    return Trees(RandomForestClassifier(n_estimators=effort.trees, min_samples_leaf=5, n_jobs=-1, random_state=seed))


def gradient_boosting(effort: Effort, seed: int) -> Trees:
    """Boosted trees over binned columns, which stop when a tenth of the rows, held back, gains no more."""
    return Trees(HistGradientBoostingClassifier(max_iter=2 * effort.trees, early_stopping=True, random_state=seed))


def _matrix(rows: Rows) -> NDArray[np.float32]:
    return np.concatenate([rows.codes.astype(np.float32), rows.numbers], axis=1)
