"""Protocol B: the data as files, then the comparison in the trainer's environment."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from deploy.stack.site import ROOT, Site
from feature_repo.shop import load_shop
from streams.sources.source import Source
from trainer.scoring import directory

DATA = ROOT / "build" / "evaluation-state" / "scoring"
FINGERPRINT = "fingerprint"

THESIS = {
    "Random Forest": (0.8050, 0.8326, 0.7488),
    "Gradient Boosting": (0.7981, 0.8226, 0.7440),
    "DLRM": (0.8794, 0.8236, 0.7100),
    "Wide&Deep": (0.8485, 0.8104, 0.6416),
    "DCN": (0.8286, 0.7569, 0.6814),
    "MLP": (0.8195, 0.7072, 0.7543),
}
"""Table 7.1: AUC, precision and recall on H&M's data."""


def prepare(source: Source, shop: str, data: Path = DATA) -> Path:
    """Write the source's data where the trainer's environment can read it, unless it is there; return where."""
    path = data / source.name
    marker = data / f"{source.name}.{FINGERPRINT}"
    wanted = f"{source.fingerprint()} {shop}"
    if not (path.exists() and marker.exists() and marker.read_text() == wanted):
        marker.unlink(missing_ok=True)
        directory.write(source, load_shop(shop), path)
        marker.write_text(wanted)
    return path


def run(source: Source, shop: str, output: Path, quick: bool, site: Site | None = None) -> dict[str, Any]:
    """Train and judge all models; what they do is shown as it happens, and the table is in `output` afterwards.

    Raises
    ------
    FileNotFoundError
        When there is no trainer's environment.
    RuntimeError
        When the comparison failed; it has said why.
    """
    site = site or Site.of(os.environ)
    if not site.trainer_python.exists():
        raise FileNotFoundError(f"no interpreter at {site.trainer_python}; `make setup` makes it")
    data = prepare(source, shop)
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [
        str(site.trainer_python), "-W", "ignore", "-m", "trainer.cli", "scoring",
        "--data", str(data), "--shop", shop, "--output", str(output.absolute()), *(["--quick"] if quick else []),
    ]  # fmt: skip
    # Threads that spin while they wait for each other take the processor from those they wait for.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    if subprocess.run(command, check=False, cwd=ROOT, env=environment).returncode:
        raise RuntimeError("the comparison of scoring models failed, see above")
    result: dict[str, Any] = json.loads(output.read_text())
    return result


def table(result: Mapping[str, Any]) -> Table:
    """A row for each model, the best AUC first, with the thesis's on H&M beside it."""
    models = result["models"]
    shown = Table(
        "", "AUC", "precision", "recall", "training s", "ms a 1,000 pairs", "thesis (H&M): AUC", "precision", "recall",
        box=None, pad_edge=False, title=f"Algorithm 1's set, mean ± deviation over seeds {result['seeds']}",
    )  # fmt: skip
    for name in sorted(models, key=lambda name: -models[name]["auc"]["mean"]):
        own = models[name]
        spread = [f"{own[m]['mean']:.4f} [dim]± {own[m]['deviation']:.4f}[/]" for m in ("auc", "precision", "recall")]
        seconds, scoring = own["training_seconds"]["mean"], own["scoring_seconds_per_1000"]["mean"]
        theirs = [f"{figure:.4f}" for figure in THESIS.get(name, ())] or ["-"] * 3
        shown.add_row(name, *spread, f"{seconds:.1f}", f"{1000 * scoring:.1f}", *theirs)
    return shown
