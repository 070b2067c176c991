"""Baselines: what simple and what strong methods recommend from the past alone.

Each is a function of what is `Known` at the cut; it may learn, and returns the scores of every item for any of the
customers. `BASELINES` has all of them by name, `QUICK` names those that are done in a minute or two together.
"""

from trainer.evaluation.baselines.factors import bpr_mf, ials, lightfm_warp
from trainer.evaluation.baselines.habits import most_bought, most_bought_decayed
from trainer.evaluation.baselines.known import Known
from trainer.evaluation.baselines.learned import lambdarank
from trainer.evaluation.baselines.linear import ease, slim
from trainer.evaluation.baselines.neighbours import item_knn, rp3beta, user_knn
from trainer.evaluation.baselines.next_basket import decayed_and_neighbours, tifu_knn
from trainer.evaluation.baselines.popularity import popular, time_weighted
from trainer.evaluation.baselines.scores import Baseline, BothLists, Scores, lists

BASELINES: dict[str, Baseline] = {
    "most_popular_30d": popular,
    "time_weighted_popularity": time_weighted,
    "most_bought": most_bought,
    "most_bought_decayed_60d": most_bought_decayed,
    "tifu_knn": tifu_knn,
    "decayed_90d_and_neighbours": decayed_and_neighbours,
    "item_knn": item_knn,
    "user_knn": user_knn,
    "rp3beta": rp3beta,
    "slim": slim,
    "ease": ease,
    "ials": ials,
    "bpr_mf": bpr_mf,
    "lightfm_warp": lightfm_warp,
    "lambdarank": lambdarank,
}

QUICK: tuple[str, ...] = (
    "most_popular_30d",
    "time_weighted_popularity",
    "most_bought",
    "most_bought_decayed_60d",
    "tifu_knn",
    "decayed_90d_and_neighbours",
    "user_knn",
    "rp3beta",
    "ease",
)

__all__ = ["BASELINES", "QUICK", "Baseline", "BothLists", "Known", "Scores", "lists"]
