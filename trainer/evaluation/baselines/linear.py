"""Linear models between items: each item's purchase foretold from the customer's other items."""

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csc_matrix, csr_matrix
from sklearn.linear_model import ElasticNet

from trainer.evaluation.baselines.known import Int64, Known
from trainer.evaluation.baselines.scores import Scores, same

Float32 = npt.NDArray[np.float32]

ITEMS = 6000
RIDGE = 200.0

SLIM_ITEMS = 3000
SLIM_FEATURES = 100
SLIM_PENALTY = 2e-3
SLIM_L1_SHARE = 0.1


def ease(known: Known) -> Scores:
    """EASE^R over the 6,000 items most bought: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (2019)."""
    items = known.most_bought(ITEMS)
    return _linear(known, items, ease_weights(known.bought[:, items], RIDGE))


def ease_weights(bought: csr_matrix, ridge: float) -> Float32:
    """Return ``float32[items, items]``: how much each item (row) speaks for each (column); nothing for itself.

    With fewer customers than items, the matrix to invert has the customers' size (Woodbury).
    """
    customers, items = bought.shape
    if customers < items:
        gram = (bought @ bought.T).toarray().astype(np.float32)
        gram[np.diag_indices(customers)] += ridge
        dense = bought.toarray().astype(np.float32)
        inverse = dense.T @ cho_solve(cho_factor(gram, overwrite_a=True), dense)
        inverse *= -1 / ridge
        inverse[np.diag_indices(items)] += 1 / ridge
    else:
        gram = (bought.T @ bought).toarray().astype(np.float32)
        gram[np.diag_indices(items)] += ridge
        inverse = cho_solve(cho_factor(gram, overwrite_a=True), np.eye(items, dtype=np.float32))
    weights = np.asarray(inverse / -np.diag(inverse), dtype=np.float32)
    np.fill_diagonal(weights, 0.0)
    return weights


def slim(known: Known) -> Scores:
    """SLIM over the 3,000 items most bought, each item regressed on the 100 whose buyers are most its own.

    Ning and Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender Systems" (2011), with the selection of
    features they call fsSLIM.
    """
    items = known.most_bought(SLIM_ITEMS)
    return _linear(known, items, slim_weights(csc_matrix(known.bought[:, items])))


def slim_weights(bought: csc_matrix) -> csr_matrix:
    """Return ``float32[items, items]``, sparse, no weight negative: how much each item (row) speaks for each (column).

    An elastic net for each item, the squared error meant over the customers.
    """
    count = bought.shape[1]
    gram = (bought.T @ bought).toarray().astype(np.float64)
    cosine = gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    np.fill_diagonal(cosine, -1.0)
    chosen = np.argsort(-cosine, axis=1, kind="stable")[:, : min(SLIM_FEATURES, count - 1)]
    dense = np.asfortranarray(bought.toarray().astype(np.float64))
    model = ElasticNet(
        alpha=SLIM_PENALTY, l1_ratio=SLIM_L1_SHARE, positive=True, fit_intercept=False, max_iter=100, tol=1e-3
    )
    weights = np.zeros((count, count), dtype=np.float32)
    for item, features in enumerate(chosen):
        model.set_params(precompute=gram[np.ix_(features, features)])
        model.fit(dense[:, features], dense[:, item])
        weights[features, item] = model.coef_
    return csr_matrix(weights)


def _linear(known: Known, items: Int64, weights: Float32 | csr_matrix) -> Scores:
    """Weights among some items; all others are never recommended."""
    bought = known.bought[:, items]

    def scores(rows: Int64) -> Float32:
        out = np.full((len(rows), known.shape[1]), -np.inf, dtype=np.float32)
        foretold = bought[rows] @ weights
        out[:, items] = foretold.toarray() if isinstance(foretold, csr_matrix) else foretold
        return out

    return same(scores)
