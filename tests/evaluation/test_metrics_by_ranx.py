"""Metrics against an independent library's, on random lists."""

import numpy as np
import pytest
from ranx import Qrels, Run, evaluate

from trainer.evaluation.metrics import judge

# ranx divides average precision and recall by all relevant items, ours by as many as the list could hold; with no
# more of them than places both are the same. For nDCG both use the best list that k places allow.
THEIRS = {"ndcg_at_10": "ndcg@10", "map_at_12": "map@12", "recall_at_10": "recall@10", "hit_at_10": "hit_rate@10"}


@pytest.mark.timeout(900)  # the library compiles its metrics when first called
@pytest.mark.parametrize(("most", "compared"), [(10, THEIRS), (25, {"ndcg_at_10": "ndcg@10"})])
def test_means_equal_those_of_ranx(most: int, compared: dict[str, str]) -> None:
    rng = np.random.default_rng(5)
    items = [f"i{n:02d}" for n in range(40)]
    lists = {f"c{n:03d}": rng.permutation(items)[: rng.integers(1, 13)].tolist() for n in range(200)}
    truth = {customer: frozenset(rng.permutation(items)[: rng.integers(1, most + 1)].tolist()) for customer in lists}
    run = Run({customer: {item: 100.0 - place for place, item in enumerate(each)} for customer, each in lists.items()})
    qrels = Qrels({customer: {item: 1 for item in sorted(each)} for customer, each in truth.items()})
    theirs = evaluate(qrels, run, list(THEIRS.values()))
    ours = {name: values.mean() for name, values in judge(lists, truth).metrics().items()}
    for name, theirs_name in compared.items():
        assert 0.05 < ours[name] < 0.95
        assert ours[name] == pytest.approx(theirs[theirs_name], abs=1e-9), name
