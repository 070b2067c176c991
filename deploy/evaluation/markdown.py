"""The evaluation's tables as Markdown, ready for docs/evaluation.md."""

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


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".removeprefix("0")


def _interval(figures: Mapping[str, Any], metric: str) -> str:
    if metric not in figures:
        return ""
    low, high = figures[f"{metric}_interval"]
    return f"{_figure(figures[metric])} ({_figure(low)}–{_figure(high)})"
