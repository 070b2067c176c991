"""The command line: subcommands are found, listed without being imported, and tell how the stack is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from deploy.cli import COMMANDS, main

NAMES = sorted(path.stem.replace("_", "-") for path in COMMANDS.glob("*.py") if path.stem != "__init__")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("HEADWATER_", "KAFKA_", "REDIS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HEADWATER_STATE", str(tmp_path))
    return tmp_path


def test_help_lists_every_command_and_imports_none(state: Path) -> None:
    program = (
        "import sys\nfrom deploy.cli import main\n"
        "try: main(['--help'])\n"
        "finally: assert not any(name.startswith('deploy.commands.') for name in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    listed = re.findall(r"^  (\S+)  +\S", answer.stdout.partition("Commands:")[2], re.MULTILINE)
    assert listed == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_help_page(name: str, state: Path) -> None:
    answer = CliRunner().invoke(main, [name, "--help"])
    assert answer.exit_code == 0, answer.output
    assert f"Usage: main {name}" in answer.output


def test_an_unknown_command_is_an_error(state: Path) -> None:
    answer = CliRunner().invoke(main, ["uq"])
    assert answer.exit_code == click.UsageError.exit_code
    assert "uq" in answer.output


@pytest.mark.parametrize("context", ["store", "=330"])
def test_a_context_is_a_name_and_a_value(state: Path, context: str) -> None:
    answer = CliRunner().invoke(main, ["recommend", "1842", "--context", context])
    assert answer.exit_code == 2
    assert "is no NAME=VALUE, like store=330" in answer.output


def test_status_of_a_stack_that_is_down(state: Path) -> None:
    answer = CliRunner().invoke(main, ["status"])
    assert answer.exit_code == 1
    assert "the stack is down" in answer.output


def test_down_of_a_stack_that_is_down(state: Path) -> None:
    answer = CliRunner().invoke(main, ["down"])
    assert answer.exit_code == 0
    assert answer.output == "nothing was running\n"


@pytest.mark.stack
def test_up_status_down(state: Path) -> None:
    run = CliRunner().invoke
    try:
        started = run(main, ["up", "--only", "redis"])
        assert started.exit_code == 0, started.output
        assert "redis is ready" in started.output
        assert run(main, ["status"]).exit_code == 0
        again = run(main, ["up", "--only", "redis"])
        assert "redis is running already" in again.output
        assert "nothing to start" in again.output
        # One that should run and doesn't is a failure.
        pid = int((state / "run" / "redis.pid").read_text().split(":")[1].partition(",")[0])
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        broken = run(main, ["status"])
        assert broken.exit_code == 1
        assert "should run and is not ready: redis" in broken.output
    finally:
        run(main, ["down"])
    assert not list((state / "run").glob("*.pid"))


@pytest.mark.stack
def test_a_command_finds_the_running_stack(state: Path) -> None:
    run = CliRunner().invoke
    try:
        run(main, ["up", "--only", "redis"])
        addressed = dict(line.split("=", 1) for line in (state / "run" / "stack.env").read_text().splitlines())
        run(main, ["status"])  # any subcommand: the group reads the file
        assert os.environ["REDIS_URL"] == addressed["REDIS_URL"]
    finally:
        run(main, ["down"])
        for name in addressed:
            if name != "HEADWATER_STATE":
                os.environ.pop(name, None)


def test_a_part_nobody_knows_is_named(state: Path) -> None:
    answer = CliRunner().invoke(main, ["up", "--only", "rabbitmq"])
    assert answer.exit_code == 1
    assert "no part 'rabbitmq'" in answer.output
