"""Next-basket methods: the customer's own decayed baskets, mixed with those of the most similar customers.

TIFU-KNN is Hu et al., "Modeling Personalized Item Frequency Information for Next-basket Recommendation" (2020),
which deep models have been found not to beat (Li et al., "A Next Basket Recommendation Reality Check", 2021).
"""

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize

from trainer.evaluation.baselines.known import Float64, Int64, Known
from trainer.evaluation.baselines.scores import Block, Scores, same

GROUP = 7
WITHIN_GROUPS = 0.95
BETWEEN_GROUPS = 0.85
TIFU_NEIGHBOURS = 100
TIFU_OWN = 0.9

DECAY_DAYS = 90.0
NEIGHBOURS = 50
OWN = 0.8


def tifu_knn(known: Known) -> Scores:
    """TIFU-KNN: groups of 7 baskets, decays .95 within and .85 between them, 100 neighbours, own share .9.

    Nearest is by cosine, which ranks better here than the paper's Euclidean distance (nDCG@10 .3757 against .3745).
    """
    return same(_mixed(basket_vectors(known), TIFU_NEIGHBOURS, TIFU_OWN))


def decayed_and_neighbours(known: Known) -> Scores:
    """Counts decayed over 90 days, mixed with the mean of the 50 customers of the highest cosine to them."""
    return same(_mixed(known.decayed(DECAY_DAYS), NEIGHBOURS, OWN))


def basket_vectors(known: Known) -> csr_matrix:
    """Return ``float64[customers, items]``, sparse: the customer's baskets, decayed within and between groups.

    Baskets are grouped back from the last one. The vector is the mean of the decayed baskets: where all groups are
    full, that is the paper's mean of the groups' means.
    """
    owner, item, basket = known.past.customer, known.past.item, known.baskets
    _, distinct = np.unique(basket * known.shape[1] + item, return_index=True)
    owner, item, basket = owner[distinct], item[distinct], basket[distinct]
    last = known.baskets[known.starts[1:] - 1]
    first = known.baskets[known.starts[:-1]]
    back = last[owner] - basket
    count = (last - first + 1)[owner]
    group, place = np.divmod(back, GROUP)
    weights = WITHIN_GROUPS**place * BETWEEN_GROUPS**group / count
    return csr_matrix((weights, (owner, item)), known.shape)


def _mixed(vectors: csr_matrix, neighbours: int, own: float) -> Block:
    """``own`` of the customer's vector, the rest of the mean of those of the highest cosine to it."""
    directions = normalize(vectors)

    def scores(rows: Int64) -> Float64:
        near = (directions[rows] @ directions.T).toarray()
        near[np.arange(len(rows)), rows] = -np.inf
        count = min(neighbours, near.shape[1] - 1)
        if count == 0:
            return np.asarray(own * vectors[rows].toarray())
        chosen = np.argpartition(-near, count - 1, axis=1)[:, :count]
        others = csr_matrix(
            (np.full(chosen.size, 1 / count), chosen.ravel(), np.arange(len(rows) + 1) * count),
            (len(rows), vectors.shape[0]),
        )
        return np.asarray((own * vectors[rows] + (1 - own) * (others @ vectors)).toarray())

    return scores
