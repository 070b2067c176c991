"""`make evaluate`: when a prepared stack is made anew, what scoring reads, the table and the pictures."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy.evaluation import markdown, pictures, scoring
from deploy.evaluation.stage import AtCut, digest
from deploy.stack.site import Site
from streams.sources.synthetic import Options, Synthetic

PNG = b"\x89PNG"


def figure(mean: float) -> dict[str, Any]:
    return {"mean": mean, "deviation": 0.01, "values": [mean - 0.01, mean, mean + 0.01]}


def scored() -> dict[str, Any]:
    names = ("auc", "precision", "recall", "training_seconds", "scoring_seconds_per_1000")
    means = {"FM": 0.7, "DLRM": 0.9, "Random Forest": 0.8}
    models = {model: dict.fromkeys(names, figure(mean)) for model, mean in means.items()}
    return {"models": models, "seeds": [1, 2, 3], "rows": {"test": 100}, "importances": {"buyers": 0.7, "price": 0.3}}


def test_another_model_code_is_noticed_and_another_measurement_is_not(tmp_path: Path) -> None:
    for name in ("trainer/ranker.py", "trainer/evaluation/metrics.py", "feature_repo/deep/er.py", "serving/notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    before = digest(tmp_path)
    (tmp_path / "trainer/evaluation/metrics.py").write_text("two")
    (tmp_path / "serving/notes.md").write_text("two")
    assert digest(tmp_path) == before
    (tmp_path / "feature_repo/deep/er.py").write_text("two")
    changed = digest(tmp_path)
    assert changed != before
    (tmp_path / "trainer/ranker.py").rename(tmp_path / "trainer/scorer.py")
    assert digest(tmp_path) != changed


def test_a_world_at_a_cut_is_backfilled_until_it(tmp_path: Path) -> None:
    world = AtCut(Site.of({"HEADWATER_STATE": str(tmp_path)}), Console(), "synthetic", cut_at=17)
    asked: list[str] = []
    world.headwater = lambda *arguments: asked.extend(arguments)  # type: ignore[method-assign]
    world.backfill()
    assert asked[asked.index("--until") + 1] == "1970-01-01T00:00:00.000018Z"  # exclusive


def test_data_is_written_once_and_again_when_it_is_another(tmp_path: Path) -> None:
    source = Synthetic(Options(events=400, customers=20, items=30, days=30))
    path = scoring.prepare(source, "synthetic", tmp_path)
    stamp = (path / "items.jsonl").stat().st_mtime_ns
    assert len((path / "customers.jsonl").read_bytes().splitlines()) == 20
    assert scoring.prepare(source, "synthetic", tmp_path) == path
    assert (path / "items.jsonl").stat().st_mtime_ns == stamp
    other = Synthetic(Options(events=400, customers=21, items=30, days=30))
    scoring.prepare(other, "synthetic", tmp_path)
    assert len((path / "customers.jsonl").read_bytes().splitlines()) == 21


def test_no_trainer_no_comparison(tmp_path: Path) -> None:
    site = Site.of({"HEADWATER_TRAINER_PYTHON": str(tmp_path / "python")})
    with pytest.raises(FileNotFoundError, match="make setup"):
        scoring.run(Synthetic(Options(events=10)), "synthetic", tmp_path / "out.json", True, site)


def test_the_table_has_the_best_first_and_the_thesis_beside_it() -> None:
    console = Console(record=True, width=200)
    console.print(scoring.table(scored()))
    rows = [line for line in console.export_text().splitlines() if "±" in line and "Algorithm" not in line]
    assert [row.split("  ")[0] for row in rows] == ["DLRM", "Random Forest", "FM"]
    assert "0.8794" in rows[0]
    assert "0.8050" in rows[1]
    assert rows[2].rstrip().endswith("-")


@pytest.mark.parametrize(
    ("value", "text"), [(0.3864, ".3864"), (-0.001, "-.0010"), (-0.00001, ".0000"), (1.0, "1.0000"), (10.0, "10.0000")]
)
def test_a_figure_has_no_zero_before_its_point(value: float, text: str) -> None:
    own = {"customers": 1, "ndcg_at_10": value, "ndcg_at_10_interval": [value, value]}
    assert f"| {text} ({text}–{text}) |" in markdown.ranking({"served": own, "baselines": {}, "served_minus": {}})


def test_the_same_tables_as_markdown() -> None:
    rows = markdown.scoring(scored()).splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| DLRM", "| Random Forest", "| FM"]
    assert "| .9000 ± .0100 |" in rows[2]
    assert "| .8794 |" in rows[2]
    figures = {"ndcg_at_10": 0.4, "ndcg_at_10_interval": [0.38, 0.42]}
    above = {"ndcg_at_10": {"low": 0.01}}
    result = {
        "served": figures,
        "baselines": {"weak_one": figures, "strong": figures},
        "served_minus": {"weak_one": above},
    }
    _, _, served, weak, strong = markdown.ranking(result).splitlines()
    assert served.startswith("| **served** | .4000 (.3800–.4200) |")
    assert weak.startswith("| weak one | **.4000** |")
    assert strong.startswith("| strong | .4000 |")


def test_pictures_are_drawn_of_whatever_was_judged(tmp_path: Path) -> None:
    figures = {"ndcg_at_10": 0.4, "ndcg_at_10_interval": [0.38, 0.42], "novel_ndcg_at_10": 0.03}
    ranked = {"cut": "2017-12-11", "customers": 10, "served": figures, "baselines": {"popular": figures}}
    pictures.ranking(ranked, tmp_path / "new" / "ranking.png")
    pictures.scoring(scored(), tmp_path / "scoring.png")
    pictures.importances(scored(), tmp_path / "importances.png")
    for path in (tmp_path / "new" / "ranking.png", tmp_path / "scoring.png", tmp_path / "importances.png"):
        assert path.read_bytes()[:4] == PNG
