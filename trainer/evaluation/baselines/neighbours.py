"""Items and customers that go together: ItemKNN, UserKNN and RP3beta.

Similarities are of who has bought what at all; how much and when is left to the other baselines.
"""

import numpy as np
from implicit.nearest_neighbours import CosineRecommender
from scipy.sparse import csr_matrix

from trainer.evaluation.baselines.known import Float64, Int64, Known
from trainer.evaluation.baselines.scores import Scores, same

ITEMS = 6000
ITEM_NEIGHBOURS = 200
CUSTOMER_NEIGHBOURS = 200

WALK_ALPHA = 1.0
WALK_BETA = 0.4


def item_knn(known: Known) -> Scores:
    """Each item's nearest others by the cosine of their buyers, summed over what the customer has bought.

    Among the 6,000 items most bought: the cosines of items with a handful of buyers are chance.
    """
    items = known.most_bought(ITEMS)
    bought = known.bought[:, items]
    near = _cosine(bought, ITEM_NEIGHBOURS)

    def scores(rows: Int64) -> Float64:
        out = np.full((len(rows), known.shape[1]), -np.inf)
        out[:, items] = (bought[rows] @ near).toarray()
        return out

    return same(scores)


def user_knn(known: Known) -> Scores:
    """What the nearest customers by the cosine of what they bought have bought, each weighing that cosine."""
    bought = known.bought
    near = _cosine(csr_matrix(bought.T), CUSTOMER_NEIGHBOURS)
    return same(lambda rows: (near[rows] @ bought).toarray())


def rp3beta(known: Known) -> Scores:
    """RP3beta: how likely a walk customer → item → customer → item ends at an item, over its popularity to the β.

    Paudel et al., "Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive Applications" (2017).
    Walks go over the 6,000 items most bought.
    """
    items = known.most_bought(ITEMS)
    bought = known.bought[:, items]
    to_item = _stochastic(bought, WALK_ALPHA)
    to_customer = _stochastic(csr_matrix(bought.T), WALK_ALPHA)
    buyers = np.asarray(bought.sum(axis=0)).ravel()
    penalty = np.maximum(buyers, 1.0) ** -WALK_BETA

    def scores(rows: Int64) -> Float64:
        out = np.full((len(rows), known.shape[1]), -np.inf)
        arrived = (to_item[rows] @ to_customer).toarray()
        out[:, items] = (arrived @ to_item) * penalty
        return out

    return same(scores)


def _cosine(rows: csr_matrix, neighbours: int) -> csr_matrix:
    """Return the cosines of each column of ``rows`` with its nearest, sparse, the nearest being itself."""
    model = CosineRecommender(K=neighbours)
    model.fit(rows.astype(np.float64), show_progress=False)
    return csr_matrix(model.similarity, dtype=np.float32)


def _stochastic(matrix: csr_matrix, alpha: float) -> csr_matrix:
    sums = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1.0)
    out = csr_matrix(matrix.multiply((1 / sums)[:, None]))
    out.data **= alpha
    return out
