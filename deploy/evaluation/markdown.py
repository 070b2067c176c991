"""The evaluation's tables as Markdown, ready for docs/evaluation.md."""

import re
from collections.abc import Mapping
from typing import Any

from deploy.evaluation.pictures import METRICS
from deploy.evaluation.scoring import THESIS


def ranking(result: Mapping[str, Any]) -> str:
    """A row for the served lists and each baseline, best nDCG@10 first; bold where the served ones are surely above."""
    baselines = sorted(result["baselines"], key=lambda name: -result["baselines"][name]["ndcg_at_10"])
    lines = [_line(["", *METRICS.values()]), _line(["---"] * (1 + len(METRICS)))]
    lines.append(_line(["**served**", *(_interval(result["served"], metric) for metric in METRICS)]))
    for name in baselines:
        above = result["served_minus"].get(name, {})
        cells = []
        for metric in METRICS:
            cell = _figure(result["baselines"][name].get(metric))
            cells.append(f"**{cell}**" if above.get(metric, {}).get("low", 0.0) > 0 else cell)
        lines.append(_line([name.replace("_", " "), *cells]))
    return "\n".join(lines) + "\n"


def beyond(result: Mapping[str, Any]) -> str:
    """What the dials cost, lists by customers' history, reliability and new items."""
    parts = []
    for name, rows in (result["dials"] or {}).items():
        head = [name, "nDCG@10", "diversity@10", "new to the customer", "coverage@10"]
        keys = ("ndcg_at_10", "diversity_at_10", "new_share_at_10", "coverage_at_10")
        parts.append([head, *([f"{row['at']:g}", *(_figure(row[key]) for key in keys)] for row in rows)])
    groups: list[list[str]] = [
        ["shopping days before the cut", "customers", "served nDCG@10", "best baseline there", ""]
    ]
    for row in result["by_history"]:
        least, most = row["shopping_days"]
        best = (row["best_baseline"] or "").replace("_", " ")
        days = f"{least} and more" if most is None else f"{least} to {most}"
        own = [_figure(row["served"]), _figure(row["best_baseline_ndcg_at_10"])]
        groups.append([days, f"{row['customers']:,}", *own, best])
    reliable = result["calibration"]
    said = [["told", *map(_figure, reliable["said"])], ["bought", *map(_figure, reliable["came"])]]
    new = result["new_items"]
    if told := result["context"] and result["context"].get("told"):
        own = result["context"]
        head = [f"asked at the next visit, {own['customers']:,} customers", "nDCG@10", "MAP@12"]
        named = {"without a word": own["silent"], "telling the store": told, "difference": own["difference"]}
        metrics = ("ndcg_at_10", "map_at_12")
        parts.append([head, *([name, *(_interval(row, metric) for metric in metrics)] for name, row in named.items())])
    fresh = [list(new), [f"{value:,}" if isinstance(value, int) else _figure(value) for value in new.values()]]
    return "\n".join(_table(part) for part in (*parts, groups, said, fresh))


def scoring(result: Mapping[str, Any]) -> str:
    """A row for each scoring model, best AUC first, the thesis's beside ours."""
    models = result["models"]
    head = ["", "AUC", "precision", "recall", "training s", "ms for 1,000", "thesis: AUC", "precision", "recall"]
    lines = [_line(head), _line(["---"] * len(head))]
    for name in sorted(models, key=lambda name: -models[name]["auc"]["mean"]):
        own = models[name]
        spread = [f"{_figure(own[m]['mean'])} ± {_figure(own[m]['deviation'])}" for m in ("auc", "precision", "recall")]
        seconds = f"{own['training_seconds']['mean']:.1f}"
        milliseconds = f"{1000 * own['scoring_seconds_per_1000']['mean']:.1f}"
        theirs = [_figure(figure) for figure in THESIS.get(name, (None, None, None))]
        lines.append(_line([name, *spread, seconds, milliseconds, *theirs]))
    return "\n".join(lines) + "\n"


def _table(rows: list[list[str]]) -> str:
    head, *others = rows
    return "\n".join([_line(head), _line(["---"] * len(head)), *map(_line, others)]) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None) -> str:
    """Four digits without the zero before the point: `.3864`, `-.0010`."""
    return "" if value is None else re.sub(r"^(-?)0\.", r"\1.", f"{value:z.4f}")


def _interval(figures: Mapping[str, Any], metric: str) -> str:
    if metric not in figures:
        return ""
    low, high = figures[f"{metric}_interval"]
    return f"{_figure(figures[metric])} ({_figure(low)}–{_figure(high)})"
