"""`headwater train`: following a training by the trainer's own status file."""

import click
import pytest
from rich.console import Console

from deploy.commands import train
from trainer.progress import Report


def test_it_returns_once_its_own_trigger_is_answered(tmp_path):
    report = Report(tmp_path, ("other", "mine"))
    report.phase("ranker", 12.5)
    report.finish("ok", 7)
    status = train.follow("mine", tmp_path, 5.0, Console(quiet=True))
    assert (status.outcome, status.version, status.seconds) == ("ok", 7, {"ranker": 12.5})


def test_another_trainings_outcome_is_not_its_own(tmp_path):
    Report(tmp_path, ("other",)).finish("ok", 7)
    with pytest.raises(click.ClickException, match="no new model after"):
        train.follow("mine", tmp_path, 0.5, Console(quiet=True))


def test_a_trainer_without_a_sign_of_life_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "UNSEEN_AFTER_S", 0.1)
    with pytest.raises(click.ClickException, match="no sign of life"):
        train.follow("mine", tmp_path, 60.0, Console(quiet=True))
