"""`headwater evaluate`: what it refuses, and the table it prints."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from deploy.commands.evaluate import command
from deploy.evaluation.ranking import check_window, table
from serving.bundle import open_bundle
from streams.settings import Settings
from tests.serving.tiny_bundle import write_bundle
from trainer.evaluation.served import LeakageError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path)


def test_a_cut_outside_the_data_is_refused_before_anyone_is_asked() -> None:
    answer = CliRunner().invoke(command, ["--cut", "2030-01-01"])
    assert answer.exit_code == 1
    assert "choose a cut inside the data" in answer.output


def test_a_source_nobody_knows_is_named() -> None:
    answer = CliRunner().invoke(command, ["--source", "nowhere.csv"])
    assert answer.exit_code == 1
    assert "nowhere.csv" in answer.output


def test_a_model_that_learned_from_the_future_is_refused(settings: Settings) -> None:
    until = write_bundle(settings.state / "bundles", 1, ["a", "b"]).manifest.data_window.until_at
    assert open_bundle(settings.state / "bundles" / "v000001").manifest.version == 1
    check_window(settings, {1}, cut=until - 1)  # [from, until): the last event learned from is at the cut
    with pytest.raises(LeakageError, match="model 1 has learned from events until"):
        check_window(settings, {1}, cut=until - 2)
    with pytest.raises(RuntimeError, match="model 2 has learned from cannot be read"):
        check_window(settings, {1, 2}, cut=until)


def test_the_table_marks_what_is_above_for_sure() -> None:
    figures = {"ndcg_at_10": 0.4, "ndcg_at_10_interval": [0.38, 0.42]}
    result = {
        "served": figures,
        "baselines": {"weak": figures, "strong": figures},
        "served_minus": {
            "weak": {"ndcg_at_10": {"mean": 0.1, "low": 0.05, "high": 0.15}},
            "strong": {"ndcg_at_10": {"mean": 0.1, "low": -0.01, "high": 0.15}},
        },
    }
    console = Console(record=True, width=200)
    console.print(table(result))
    served, weak, strong = (line for line in console.export_text().splitlines() if "0.4000" in line)
    assert "0.4000*" in weak
    assert "0.4000*" not in strong
    assert "0.4000*" not in served
    assert "0.3800–0.4200" in served
