"""How good the service's answers at the cut are, by protocol A."""

import json
from typing import Any

from deploy.demo.report import Ranking
from deploy.demo.world import World

BESIDE = ("most_popular_30d", "time_weighted_popularity", "most_bought", "most_bought_decayed_60d")
"""Baselines that are made in seconds."""


def at_the_cut(world: World) -> Ranking:
    """Judge the answers of the running service for every customer of the truth, and tell the figures."""
    path = world.site.state / "ranking.json"
    beside = [word for name in BESIDE for word in ("--baseline", name)]
    world.headwater("evaluate", "--source", world.source_name, "--output", str(path), *beside)
    result: dict[str, Any] = json.loads(path.read_text())
    served, most_bought = result["served"], result["baselines"]["most_bought"]
    return Ranking(
        ndcg_at_10=served["ndcg_at_10"],
        map_at_12=served["map_at_12"],
        hit_at_10=served["hit_at_10"],
        novel_ndcg_at_10=served["novel_ndcg_at_10"],
        novel_map_at_12=served["novel_map_at_12"],
        customers=result["customers"],
        most_bought_ndcg_at_10=most_bought["ndcg_at_10"],
    )
