"""Factor models: a vector for each customer and each item, their product the score.

Learned on how often each customer bought each item (iALS) or whether at all (BPR, LightFM), one thread wherever
threads would make two runs differ.
"""

import numpy as np
import numpy.typing as npt
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from lightfm import LightFM
from threadpoolctl import threadpool_limits

from trainer.evaluation.baselines.known import Int64, Known
from trainer.evaluation.baselines.scores import Scores, same

Float32 = npt.NDArray[np.float32]

ALS_FACTORS = 64
ALS_RIDGE = 1.0
ALS_CONFIDENCE = 5.0
ALS_ITERATIONS = 10

BPR_FACTORS = 64
BPR_RATE = 0.01
BPR_RIDGE = 0.05
BPR_ITERATIONS = 30

WARP_FACTORS = 64
WARP_RATE = 0.05
WARP_EPOCHS = 5


def ials(known: Known) -> Scores:
    """Implicit-feedback alternating least squares (Hu, Koren and Volinsky, 2008), log counts as confidence."""
    confidence = known.matrix().astype(np.float32)
    np.log1p(confidence.data, out=confidence.data)
    with threadpool_limits(1, "blas"):  # threads of its own go over customers and items
        model = AlternatingLeastSquares(
            factors=ALS_FACTORS,
            regularization=ALS_RIDGE,
            alpha=ALS_CONFIDENCE,
            iterations=ALS_ITERATIONS,
            random_state=0,
        )
        model.fit(confidence, show_progress=False)
    return _products(model.user_factors, model.item_factors)


def bpr_mf(known: Known) -> Scores:
    """Matrix factorization learned by Bayesian personalized ranking (Rendle et al., 2009)."""
    model = BayesianPersonalizedRanking(
        factors=BPR_FACTORS,
        learning_rate=BPR_RATE,
        regularization=BPR_RIDGE,
        iterations=BPR_ITERATIONS,
        num_threads=1,
        random_state=0,
    )
    model.fit(known.bought, show_progress=False)
    return _products(model.user_factors, model.item_factors)


def lightfm_warp(known: Known) -> Scores:
    """LightFM (Kula, 2015) without features of its own, learned by WARP."""
    model = LightFM(no_components=WARP_FACTORS, loss="warp", learning_rate=WARP_RATE, random_state=0)
    model.fit(known.bought, epochs=WARP_EPOCHS, num_threads=1)
    biases, items = model.get_item_representations()
    _, customers = model.get_user_representations()
    return _products(np.pad(customers, ((0, 0), (0, 1)), constant_values=1.0), np.column_stack([items, biases]))


def _products(customers: Float32, items: Float32) -> Scores:
    def scores(rows: Int64) -> Float32:
        return np.asarray(customers[rows] @ items.T)

    return same(scores)
