"""The evaluation's figures as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt  # it opens a display unless it is told before

METRICS = {
    "ndcg_at_10": "nDCG@10",
    "map_at_12": "MAP@12",
    "hit_at_10": "hit@10",
    "novel_ndcg_at_10": "nDCG@10, novel items",
    "novel_map_at_12": "MAP@12, novel items",
    "coverage_at_10": "catalogue coverage@10",
}
DIALS = {"diversity": "diversity_at_10", "novelty": "new_share_at_10"}
"""What each dial is turned for."""
SERVED, OTHER = "#c0392b", "#8fa3b0"
_MOST_COLUMNS = 30


def ranking(result: Mapping[str, Any], path: Path) -> None:
    """Draw a panel for each metric: the served lists and each baseline with its 95% interval."""
    contenders = {"served": result["served"], **result["baselines"]}
    order = sorted(contenders, key=lambda name: contenders[name].get("ndcg_at_10", 0.0))
    figure, panels = plt.subplots(2, 3, figsize=(14, 2 + 0.55 * len(order)), sharey=True)
    for panel, (metric, title) in zip(panels.flat, METRICS.items(), strict=True):
        means = [contenders[name].get(metric, np.nan) for name in order]
        bounds = [contenders[name].get(f"{metric}_interval", (np.nan, np.nan)) for name in order]
        _bars(panel, order, means, bounds, [SERVED if name == "served" else OTHER for name in order])
        panel.set_title(title, fontsize=10)
    figure.suptitle(f"Lists at {result['cut']}, {result['customers']:,} customers, 95% intervals")
    _save(figure, path)


def beyond(result: Mapping[str, Any], path: Path) -> None:
    """Draw how reliable the probabilities are, how good lists are by customers' history, and what the dials cost."""
    figure, panels = plt.subplots(1, 4 if result["dials"] else 2, figsize=(18 if result["dials"] else 9, 4))
    reliable = result["calibration"]
    largest = max([*reliable["said"], *reliable["came"], 0.01])
    panels[0].plot([0, largest], [0, largest], color=OTHER, linewidth=1)
    panels[0].plot(reliable["said"], reliable["came"], "o-", color=SERVED)
    panels[0].set(xlabel="probability told", ylabel="share bought", title=f"Reliability, error {reliable['error']:.3f}")
    groups = [_days(row["shopping_days"]) for row in result["by_history"]]
    at = np.arange(len(groups))
    panels[1].bar(at - 0.2, [row["served"] for row in result["by_history"]], 0.4, color=SERVED, label="served")
    best = [row["best_baseline_ndcg_at_10"] or np.nan for row in result["by_history"]]
    panels[1].bar(at + 0.2, best, 0.4, color=OTHER, label="best baseline there")
    panels[1].set_xticks(at, groups)
    panels[1].set(xlabel="shopping days before the cut", title="nDCG@10 by history")
    panels[1].legend(fontsize=8)
    for panel, (name, gain) in zip(panels[2:], DIALS.items(), strict=False):
        rows = result["dials"][name]
        panel.plot(
            [row["at"] for row in rows], [row["ndcg_at_10"] for row in rows], "o-", color=SERVED, label="nDCG@10"
        )
        panel.plot([row["at"] for row in rows], [row[gain] for row in rows], "s--", color=OTHER, label=gain)
        panel.set(xlabel=name, ylim=(0, 1.02), title=f"The dial of {name}")
        panel.legend(fontsize=8)
    _save(figure, path)


def _days(bounds: Sequence[int | None]) -> str:
    least, most = bounds
    return f"{least}+" if most is None else f"{least}–{most}"


def scoring(result: Mapping[str, Any], path: Path) -> None:
    """Draw AUC, precision and recall of each scoring model, with the range of the seeds."""
    models = result["models"]
    order = sorted(models, key=lambda name: models[name]["auc"]["mean"])
    figure, panels = plt.subplots(1, 3, figsize=(13, 1.5 + 0.4 * len(order)), sharey=True)
    for panel, metric in zip(panels, ("auc", "precision", "recall"), strict=True):
        means = [models[name][metric]["mean"] for name in order]
        bounds = [(min(models[name][metric]["values"]), max(models[name][metric]["values"])) for name in order]
        _bars(panel, order, means, bounds, [SERVED if name == "DLRM" else OTHER for name in order])
        panel.set_xlim(max(0.0, np.nanmin(means) - 0.1), 1.0)
        panel.set_title({"auc": "AUC"}.get(metric, f"{metric} at 0.5"), fontsize=10)
    figure.suptitle(f"Scoring models, {result['rows']['test']:,} pairs asked, seeds {result['seeds']}")
    _save(figure, path)


def importances(result: Mapping[str, Any], path: Path) -> None:
    """Draw the Random Forest's importances, the largest on top."""
    largest = list(result["importances"].items())[:_MOST_COLUMNS][::-1]
    figure, panel = plt.subplots(figsize=(8, 1 + 0.25 * len(largest)))
    panel.barh([name for name, _ in largest], [share for _, share in largest], color=OTHER)
    panel.set_title("Random Forest: share of the impurity that splits on a column took away", fontsize=10)
    panel.tick_params(labelsize=8)
    _save(figure, path)


def _bars(
    panel: Any, names: Sequence[str], means: Sequence[float], bounds: Sequence[Sequence[float]], colours: Sequence[str]
) -> None:
    middle, ends = np.asarray(means, dtype=float), np.asarray(bounds, dtype=float)
    reach = np.abs(ends.T - middle)
    panel.barh(names, middle, xerr=reach, color=colours, error_kw={"elinewidth": 1, "capsize": 2})
    panel.tick_params(labelsize=8)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
